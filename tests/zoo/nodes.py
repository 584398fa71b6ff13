"""The ONNX project's own node tests through our reader, graph and engine.

    nodes.py NETRUN [--isa NAME] [--plain] [--list FILE] [--only TEXT] FOLDER ...

FOLDER holds test_*/model.onnx with test_data_set_0 (Debian's libonnx-testdata); `package` stands for those that the
installed onnx package makes.  A test has several inputs and outputs where we take one picture and give one row; so each
is run in several forms: every input in turn as the one that is computed, the others as constants, as the file has its
shape and behind a Reshape; and with all of them constant.  A test is "same" when every form of it that loads gives the
expected numbers and at least one loads, "DIFFERS" when one does not, "refused" when none loads.
Exit code 1 if one differs.
"""
import argparse
import collections
import glob
import os
import subprocess
import sys
import tempfile

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16)
NUMBERS = FLOATS + (TensorProto.INT8, TensorProto.UINT8, TensorProto.INT16, TensorProto.UINT16, TensorProto.INT32,
                    TensorProto.UINT32, TensorProto.INT64, TensorProto.UINT64, TensorProto.BOOL)


def read_tensor(path):
    tensor = onnx.TensorProto()
    with open(path, "rb") as file:
        tensor.ParseFromString(file.read())
    return numpy_helper.to_array(tensor)


def folder_tests(folder):
    for model_path in sorted(glob.glob(os.path.join(folder, "**", "model.onnx"), recursive=True)):
        base = os.path.dirname(model_path)
        model = onnx.load(model_path)
        for data in sorted(glob.glob(os.path.join(base, "test_data_set_*")))[:1]:
            try:
                inputs = [read_tensor(os.path.join(data, f"input_{i}.pb"))
                          for i in range(len(glob.glob(os.path.join(data, "input_*.pb"))))]
                outputs = [read_tensor(os.path.join(data, f"output_{i}.pb"))
                           for i in range(len(glob.glob(os.path.join(data, "output_*.pb"))))]
            except Exception:  # sequences, optionals
                continue
            yield os.path.basename(base), model, inputs, outputs


def package_tests():
    from onnx.backend.test.loader import load_node_model_tests
    for case in sorted(load_node_model_tests(), key=lambda c: c.name):
        if not case.data_sets:
            continue
        inputs, outputs = case.data_sets[0]
        if all(isinstance(v, np.ndarray) for v in list(inputs) + list(outputs)):
            yield case.name, case.model, list(inputs), list(outputs)


def type_of(value_info):
    return value_info.type.tensor_type.elem_type


def read_inputs(model, arrays):
    """The inputs that are no weights, and their numbers; older data keep bfloat16 as the bits of integers."""
    weights = {w.name for w in model.graph.initializer}
    infos = [info for info in model.graph.input if info.name not in weights]
    for i, info in enumerate(infos[:len(arrays)]):
        if type_of(info) == TensorProto.BFLOAT16 and arrays[i].dtype.kind in "iu":
            arrays[i] = (arrays[i].astype(np.uint32) << 16).view(np.float32)
    return infos, arrays


def usable(value_info):
    return type_of(value_info) in NUMBERS and value_info.type.HasField("tensor_type")


def constant(name, value_info, array):
    kind = helper.tensor_dtype_to_np_dtype(type_of(value_info))
    return helper.make_tensor(name, type_of(value_info), array.shape,
                              np.ascontiguousarray(array).astype(kind).tobytes(), raw=True)


def make(model, infos, inputs, live, form, output):
    """The test as a network of one input and one row of output."""
    graph = model.graph
    want = output[1]
    nodes, weights = list(graph.node), list(graph.initializer)
    names = [v.name for v in infos]
    for i, (info, array) in enumerate(zip(infos, inputs)):
        if i != live:
            weights.append(constant(info.name, info, array))
    if live is None:
        shape, feed = [1, want.size], np.zeros(want.size, np.float32)
    elif form == "direct":
        shape, feed = list(inputs[live].shape), inputs[live].astype(np.float32)
    else:
        shape, feed = [1, inputs[live].size], inputs[live].astype(np.float32)
        name = names[live]
        weights.append(numpy_helper.from_array(np.array(inputs[live].shape, np.int64), "live_shape"))
        float_type = type_of(infos[live]) == TensorProto.FLOAT
        nodes.insert(0, helper.make_node("Reshape", ["live", "live_shape"], [name if float_type else "live_float"]))
        if not float_type:
            nodes.insert(1, helper.make_node("Cast", ["live_float"], [name], to=type_of(infos[live])))
    # the output, as float32, as a row
    last = output[0].name
    if type_of(output[0]) != TensorProto.FLOAT:
        nodes.append(helper.make_node("Cast", [last], ["row_float"], to=TensorProto.FLOAT))
        last = "row_float"
    batch = shape[0] if live is not None and form == "direct" else 1
    weights.append(numpy_helper.from_array(np.array([batch, want.size // batch], np.int64), "row_shape"))
    nodes.append(helper.make_node("Reshape", [last, "row_shape"], ["row"]))
    last = "row"
    if live is None:
        nodes.append(helper.make_node("Add", ["row", "live"], ["sum"]))
        last = "sum"
    name = names[live] if live is not None and form == "direct" else "live"
    made = helper.make_graph(nodes, "node", [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)],
                             [helper.make_tensor_value_info(last, TensorProto.FLOAT, [batch, want.size // batch])], weights)
    result = helper.make_model(made, opset_imports=model.opset_import, functions=model.functions)
    result.ir_version = max(4, min(model.ir_version, 13))
    return result, feed, batch


def forms(model, infos, inputs, outputs):
    if len(infos) != len(inputs) or not all(usable(info) for info in infos):
        return
    for out in zip(model.graph.output, outputs):
        if not usable(out[0]) or out[1].size == 0:
            continue
        for live, info in enumerate(infos):
            array = inputs[live]
            if array.size == 0:
                continue
            if np.abs(array.astype(np.float64)).max(initial=0) > 2 ** 24 and type_of(info) not in FLOATS:
                continue  # float32 does not hold it
            if not np.isfinite(array.astype(np.float64)).all():
                continue
            yield f"{info.name}>{out[0].name}", live, "wrapped", out
            if type_of(info) == TensorProto.FLOAT and array.ndim and out[1].ndim and out[1].shape[0] == array.shape[0]:
                yield f"{info.name}>{out[0].name} direct", live, "direct", out
        yield f"constants>{out[0].name}", None, "", out


class Runner:
    def __init__(self, netrun, options):
        self.command = [netrun] + options
        self.process = None

    def ask(self, line):
        if self.process is None:
            self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            code = self.process.wait()
            self.process = None
            return f"CRASHED with code {code}"
        return answer.strip()

    def finish(self):
        """Ends it; its exit code (a sanitizer's, if it has something to say)."""
        if self.process is None:
            return 0
        self.process.stdin.close()
        return self.process.wait()


# what onnxruntime and PyTorch, from which such files come, compute otherwise too
KNOWN = {name: "align_corners with scales: the whole number of outputs counts, not input times scale" for name in
         ("test_resize_downsample_scales_cubic_align_corners", "test_resize_downsample_scales_linear_align_corners")}

# as ONNX's own runner has it; half precision is computed in float32 here
TOLERANCE = {TensorProto.FLOAT16: 2e-3, TensorProto.BFLOAT16: 1e-2}


def compare(got, want, tolerance):
    got, want = got.astype(np.float64), want.astype(np.float64).ravel()
    same = np.isclose(got, want, rtol=tolerance, atol=1e-6, equal_nan=True)
    return "" if same.all() else f"{int((~same).sum())} of {want.size} differ: {got[~same][:3]} for {want[~same][:3]}"


def run_form(runner, folder, model, infos, inputs, live, form, out):
    made, feed, batch = make(model, infos, inputs, live, form, out)
    path = os.path.join(folder, "m.onnx")
    with open(path, "wb") as file:
        file.write(made.SerializeToString())
    feed.astype("<f4").tofile(path + ".in")
    answer = runner.ask(f"{path} {path}.in {path}.out {batch}")
    if answer.startswith("failed"):
        return "refused", answer[7:]
    if not answer.startswith("ok"):
        return "DIFFERS", answer
    got = np.fromfile(path + ".out", "<f4")
    want = out[1]
    if got.size != want.size:
        return "DIFFERS", f"{got.size} numbers for {want.size}"
    kinds = {t.data_type for t in made.graph.initializer} | {type_of(out[0])}
    kinds |= {a.i for n in made.graph.node if n.op_type == "Cast" for a in n.attribute if a.name == "to"}
    text = compare(got, want, max(TOLERANCE.get(kind, 1e-3) for kind in kinds))
    return ("DIFFERS" if text else "same"), text


def random_output(model):
    return any(n.op_type in ("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli",
                             "Multinomial") for n in model.graph.node) or any(
        n.op_type == "Dropout" and len(n.input) > 2 for n in model.graph.node)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("netrun")
    parser.add_argument("folders", nargs="+")
    parser.add_argument("--isa")
    parser.add_argument("--plain", action="store_true", help="the graph as it was read, each step alone")
    parser.add_argument("--only", default="", help="tests whose name holds this")
    parser.add_argument("--list", help="file for the reasons of what was refused, and a count an operator")
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args()
    runner = Runner(args.netrun, (["--isa", args.isa] if args.isa else []) + (["--plain"] if args.plain else []))
    verdicts = collections.Counter()
    refused = collections.defaultdict(list)
    operators = collections.defaultdict(collections.Counter)
    with tempfile.TemporaryDirectory() as folder:
        for source in args.folders:
            for name, model, inputs, outputs in package_tests() if source == "package" else folder_tests(source):
                if args.only not in name or random_output(model):
                    continue
                infos, inputs = read_inputs(model, inputs)
                results = [(what, *run_form(runner, folder, model, infos, inputs, *rest))
                           for what, *rest in forms(model, infos, inputs, outputs)]
                states = {r[1] for r in results}
                verdict = "DIFFERS" if "DIFFERS" in states else "same" if "same" in states else "refused"
                if verdict == "DIFFERS" and name in KNOWN:
                    verdict, results = "known", [(what, "known", KNOWN[name]) for what, *_ in results[:1]]
                verdicts[verdict] += 1
                kinds = sorted({n.op_type for n in model.graph.node})
                operators[kinds[0] if len(kinds) == 1 else "several"][verdict] += 1
                if verdict == "refused":
                    why = next((t for _, s, t in results if s == "refused"), "no input or output of numbers")
                    refused[why].append(name)
                for what, state, text in results:
                    if state in ("DIFFERS", "known") or args.verbose:
                        print(f"{state:8} {name}: {what}: {text}", flush=True)
    print(dict(verdicts))
    if args.list:
        with open(args.list, "w", encoding="utf-8") as file:
            for why, names in sorted(refused.items(), key=lambda item: -len(item[1])):
                file.write(f"{len(names):4} {why}: {', '.join(sorted(set(names)))}\n")
            for kind, counts in sorted(operators.items()):
                file.write(f"{kind}: {dict(counts)}\n")
    return verdicts["DIFFERS"] > 0


if __name__ == "__main__":
    sys.exit(main())
