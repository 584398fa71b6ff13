"""Exports classifiers of torchvision and timm one after the other, compares each with onnxruntime on photos, and forgets it.

    survey.py NETRUN PHOTOS OUT.tsv [--again] [--old|--new] [NAME ...]

Weights are random (seeded), statistics of normalisations too.  Each network is exported by both of PyTorch's exporters
(old: TorchScript, opset 17; new: dynamo, its own default), with batch, height and width open where the exporter can,
else with what it can.  Compared are the logits of the photos at the network's size, and at a second size where
onnxruntime runs it: the largest difference by the spread of the logits.  Lines of OUT.tsv that are there stay; files
are deleted at once (a network may be 500 MB).
"""
import multiprocessing
import os
import subprocess
import sys
import time
import warnings

import numpy as np

warnings.filterwarnings("ignore")
COLUMNS = ("name", "exporter", "open", "size", "difference", "top1", "second", "second_difference", "head", "load_ms",
           "ours_ms", "ort_ms", "file_mb", "note")


# all classifiers of torchvision whose file has at most 2 GB (vit_h_14 and regnet_y_128gf have more), small ones first
TORCHVISION = """squeezenet1_0 squeezenet1_1 shufflenet_v2_x0_5 shufflenet_v2_x1_0 shufflenet_v2_x1_5 shufflenet_v2_x2_0
mnasnet0_5 mnasnet0_75 mnasnet1_0 mnasnet1_3 mobilenet_v2 mobilenet_v3_small mobilenet_v3_large regnet_x_400mf
regnet_y_400mf regnet_x_800mf regnet_y_800mf googlenet efficientnet_b0 efficientnet_b1 densenet121 regnet_x_1_6gf
regnet_y_1_6gf efficientnet_b2 resnet18 efficientnet_b3 densenet169 regnet_x_3_2gf efficientnet_b4 regnet_y_3_2gf
densenet201 efficientnet_v2_s resnet34 resnext50_32x4d resnet50 inception_v3 swin_t swin_v2_t convnext_tiny densenet161
efficientnet_b5 maxvit_t regnet_y_8gf regnet_x_8gf efficientnet_b6 resnet101 swin_s swin_v2_s convnext_small
efficientnet_v2_m regnet_x_16gf resnet152 alexnet efficientnet_b7 wide_resnet50_2 regnet_y_16gf resnext101_64x4d vit_b_16
swin_b swin_v2_b vit_b_32 convnext_base resnext101_32x8d regnet_x_32gf efficientnet_v2_l wide_resnet101_2 vgg11 vgg11_bn
vgg13 vgg13_bn vgg16 vgg16_bn vgg19 vgg19_bn regnet_y_32gf convnext_large vit_l_16 vit_l_32""".split()
# classifier families of timm, a small member each
TIMM = """mobileone_s0 mobilenetv1_100 mobilenetv3_small_100 mobilenetv4_conv_small lcnet_050 ghostnet_100 ghostnetv2_100
efficientnet_lite0 tf_efficientnetv2_b0 fbnetc_100 hardcorenas_a mixnet_s tinynet_e semnasnet_075 rexnet_100 repvgg_a0
repghostnet_050 repvit_m1 resnet18d resnet26t seresnet18 ecaresnet26t skresnet18 res2net50_26w_4s resnest14d resnetv2_50
gcresnet33ts nfnet_l0 eca_nfnet_l0 regnety_002 regnetz_c16 dla34 dpn68 hrnet_w18_small vovnet39a ese_vovnet19b_dw
selecsls42 cspresnet50 darknet17 convnext_atto convnextv2_atto inception_next_atto edgenext_xx_small mobilevit_xxs
mobilevitv2_050 poolformer_s12 poolformerv2_s12 caformer_s18 convmixer_768_32 starnet_s1 fastvit_t8 tiny_vit_5m_224
efficientformer_l1 efficientformerv2_s0 efficientvit_b0 efficientvit_m0 levit_128s coat_lite_tiny pvt_v2_b0 crossvit_9_240
deit_tiny_patch16_224 vit_tiny_patch16_224 vit_small_patch16_rope_224 beit_base_patch16_224 eva02_tiny_patch14_224
cait_xxs24_224 xcit_nano_12_p16_224 mixer_s32_224 gmlp_ti16_224 resmlp_12_224 swin_tiny_patch4_window7_224
swinv2_cr_tiny_224 maxvit_rmlp_pico_rw_256 coatnet_pico_rw_224 visformer_tiny twins_pcpvt_small nest_tiny
focalnet_tiny_srf davit_tiny volo_d1_224 xception41 nasnetalarge mambaout_femto rdnet_tiny hgnet_tiny hgnetv2_b0""".split()


def make(name):
    """The model in evaluation mode and the side of its pictures."""
    import torch
    torch.manual_seed(1)
    if name.startswith("tv:"):
        import torchvision
        name = name[3:]
        options = {"init_weights": True} if name in ("googlenet", "inception_v3") else {}
        if name in ("googlenet", "inception_v3"):
            options["aux_logits"] = False
        model = torchvision.models.get_model(name, weights=None, **options)
        size = 299 if name == "inception_v3" else 224
    else:
        import timm
        model = timm.create_model(name, pretrained=False, exportable=True)
        size = model.default_cfg.get("test_input_size", model.default_cfg["input_size"])[-1]
        size = min(size, model.default_cfg["input_size"][-1])
    for parameter in model.parameters():  # heads that begin as zeros would tell nothing
        if parameter.ndim > 1 and not parameter.detach().any():
            torch.nn.init.normal_(parameter, std=0.02)
    for module in model.modules():  # statistics that a trained network would have, so that folding them is seen
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm) and module.running_mean is not None:
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return model.eval(), size


def photos(folder, size):
    from PIL import Image
    rows = []
    for name in sorted(os.listdir(folder)):
        if not name.lower().endswith((".png", ".jpg", ".jpeg")):
            continue
        image = Image.open(os.path.join(folder, name)).convert("RGB")
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        image = image.crop((left, top, left + side, top + side)).resize((size, size), Image.BICUBIC)
        x = (np.asarray(image, np.float32) / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
        rows.append(x.transpose(2, 0, 1))
    return np.stack(rows[:3]).astype(np.float32)


def attempts(model, x, path, new):
    """Exports with as much left open as works; yields what it is called."""
    import torch
    two = x[:2]
    if new:
        dim = torch.export.Dim
        shapes = {"size": {0: dim("batch"), 2: dim.DYNAMIC, 3: dim.DYNAMIC}, "batch": {0: dim("batch")}, "nothing": None}
    else:
        shapes = {"size": {0: "batch", 2: "h", 3: "w"}, "batch": {0: "batch"}, "nothing": None}
    for what, shape in shapes.items():
        try:
            with torch.no_grad():
                if new:
                    torch.onnx.export(model, (two if shape else x[:1],), path, dynamo=True, external_data=False,
                                      verbose=False, dynamic_shapes=(shape,) if shape else None)
                else:
                    torch.onnx.export(model, (two if shape else x[:1],), path, dynamo=False, opset_version=17,
                                      input_names=["x"], output_names=["y"],
                                      dynamic_axes={"x": shape, "y": {0: "batch"}} if shape else None)
            yield what
        except Exception:
            continue


def session_of(path):
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def theirs(session, x):
    """Logits one by one, and the least time of one."""
    name, rows, least = session.get_inputs()[0].name, [], 1e9
    for i in range(len(x)):
        start = time.perf_counter()
        rows.append(session.run(None, {name: x[i:i + 1]})[0])
        least = min(least, time.perf_counter() - start)
    return np.concatenate(rows), least


def ours(netrun, path, x):
    """All at once: a file whose batch is fixed has to take them too."""
    x.tofile(path + ".in")
    run = subprocess.run([netrun, path, path + ".in", path + ".out", str(len(x)), str(x.shape[2]), str(x.shape[3])],
                         capture_output=True, text=True)
    line = run.stdout.strip() or f"failed with code {run.returncode}"
    if not line.startswith("ok"):
        return None, line
    return np.fromfile(path + ".out", "<f4").reshape(len(x), -1), line


def difference(got, want):
    return float(np.abs(got - want).max() / (want.max() - want.min()))


def examine(netrun, folder, path, size, row):
    session = session_of(path)
    x = photos(folder, size)
    want, seconds = theirs(session, x)
    got, line = ours(netrun, path, x)
    row.update(size=size, ort_ms=f"{1e3 * seconds:.1f}", file_mb=f"{os.path.getsize(path) / 1e6:.0f}")
    if got is None:
        row.update(note=line)
        return
    words = line.split()
    row.update(difference=f"{difference(got, want):.1e}", top1=int((got.argmax(1) == want.argmax(1)).all()),
               head=" ".join(words[3:]), load_ms=f"{1e3 * float(words[1]):.0f}",
               ours_ms=f"{1e3 * float(words[2]) / len(x):.1f}")
    second = size + 64
    try:
        want, _ = theirs(session, photos(folder, second))
    except Exception:
        return
    got, line = ours(netrun, path, photos(folder, second))
    row.update(second=second, second_difference=f"{difference(got, want):.1e}" if got is not None else line)


def one(netrun, folder, name, exporter, path):
    import torch
    row = dict.fromkeys(COLUMNS, "")
    row.update(name=name, exporter=exporter)
    try:
        model, size = make(name)
    except Exception as error:
        row.update(note=f"not in this version: {str(error)[:80]}")
        return row
    x = torch.from_numpy(photos(folder, size))
    for what in attempts(model, x, path, exporter == "new"):
        row.update(open=what, note="")
        try:
            examine(netrun, folder, path, size, row)
        except Exception as error:  # what the exporter made, onnxruntime does not run
            row.update(note=f"onnxruntime: {str(error).splitlines()[0][:120]}")
            continue
        break
    else:
        row.update(note=row["note"] or "the exporter failed")
    return row


def warm_up():
    """What every export needs is imported once, here; no thread may have begun by then."""
    import onnxscript  # noqa: F401
    import timm  # noqa: F401
    import torch
    import torchvision  # noqa: F401
    torch.set_num_threads(1)
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten()).eval()
    for _ in attempts(model, torch.zeros(2, 3, 8, 8), os.devnull, True):
        break


def line_of(context, netrun, folder, name, exporter, path):
    """In a process of its own, which may crash or be too slow: the line, or what became of it."""
    def work(end):
        with open(os.devnull, "w") as null:
            os.dup2(null.fileno(), 1)
            os.dup2(null.fileno(), 2)
        row = one(netrun, folder, name, exporter, path)
        end.send("\t".join(str(row[c]).replace("\t", " ").replace("\n", " ") for c in COLUMNS))
    here, there = context.Pipe(False)
    child = context.Process(target=work, args=(there,))
    child.start()
    there.close()
    try:
        line = here.recv() if here.poll(1800) else "it took half an hour"
    except EOFError:
        line = "it crashed"
    child.kill()
    child.join()
    return line if "\t" in line else f"{name}\t{exporter}\t" + "\t" * (len(COLUMNS) - 3) + line


def main():
    again = "--again" in sys.argv
    exporters = [e for e in ("old", "new") if "--" + e in sys.argv] or ["old", "new"]
    netrun, folder, out, *names = [a for a in sys.argv[1:] if a not in ("--again", "--old", "--new")]
    lines = open(out, encoding="utf-8").read().splitlines() if os.path.exists(out) else ["\t".join(COLUMNS)]
    path = os.path.join(os.path.dirname(out), f"survey-{os.getpid()}.onnx")
    warm_up()
    for name in names or ["tv:" + n for n in TORCHVISION] + TIMM:
        for exporter in exporters:
            key = f"{name}\t{exporter}\t"
            if not again and any(line.startswith(key) for line in lines):
                continue
            line = line_of(multiprocessing.get_context("fork"), netrun, folder, name, exporter, path)
            for end in ("", ".data", ".in", ".out"):
                if os.path.exists(path + end):
                    os.remove(path + end)
            lines = [old for old in lines if not old.startswith(key)] + [line]
            with open(out, "w", encoding="utf-8") as file:
                file.write("\n".join(lines) + "\n")
            print(line, flush=True)


if __name__ == "__main__":
    main()
