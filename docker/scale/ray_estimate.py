"""python3 ray_estimate.py PHOTOS PARTS SHARDS [OPTION]...: infomask estimate over shards on a Ray cluster (RAY_ADDRESS, else
this machine).  PHOTOS and PARTS are seen by all nodes; a shard that fails or whose node is lost is tried again."""
import pathlib
import subprocess
import sys

import ray

photos, parts, shards, *options = sys.argv[1:]
shard = str(pathlib.Path(__file__).resolve().with_name("shard.sh"))
ray.init(log_to_driver=False)


@ray.remote(num_cpus=1, max_retries=3, retry_exceptions=True)
def label(index):
    subprocess.run(["sh", shard, photos, parts, str(index), shards, "--threads=1", *options], check=True)


ray.get([label.remote(index) for index in range(int(shards))])
subprocess.run(["infomask", "estimate", "--json", "--merge", *map(str, pathlib.Path(parts).glob("*.db"))], check=True)
