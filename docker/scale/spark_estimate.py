"""spark-submit spark_estimate.py PHOTOS PARTS SHARDS [OPTION]...: infomask estimate over shards as a Spark job.  PHOTOS and PARTS
are seen by all executors, and infomask is installed there; a task that fails is tried again (spark.task.maxFailures)."""
import pathlib
import subprocess
import sys

from pyspark.sql import SparkSession

photos, parts, shards, *options = sys.argv[1:]
shard = str(pathlib.Path(__file__).resolve().with_name("shard.sh"))


def label(index):
    subprocess.run(["sh", shard, photos, parts, str(index), shards, "--threads=1", *options], check=True)


spark = SparkSession.builder.appName("infomask").getOrCreate()
spark.sparkContext.parallelize(range(int(shards)), int(shards)).foreach(label)
spark.stop()
subprocess.run(["infomask", "estimate", "--json", "--merge", *map(str, pathlib.Path(parts).glob("*.db"))], check=True)
