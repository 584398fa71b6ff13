"""Exports classifiers of torchvision and timm with random weights, and keeps what onnxruntime computes with them.

    export.py FOLDER [NAME ...]

NAME is a model, torchvision's as tv:NAME.  For each model and exporter (old: TorchScript; new: dynamo) FOLDER gets
NAME.EXPORTER.onnx, .input.f32 [2, 3, size, size] and .output.f32 [2, classes] unless they are there already; what
an exporter cannot do is a line in NAME.EXPORTER.failed.
"""
import os
import sys
import warnings

import numpy as np

warnings.filterwarnings("ignore")

# every classifier family of torchvision, one small member each where they differ in size only, and 48 of timm
TORCHVISION = """alexnet convnext_tiny densenet121 densenet161 efficientnet_b0 efficientnet_b1 efficientnet_b4 efficientnet_v2_s
googlenet inception_v3 maxvit_t mnasnet0_5 mnasnet1_3 mobilenet_v2 mobilenet_v3_large mobilenet_v3_small
regnet_x_400mf regnet_y_400mf resnet18 resnet50 resnext50_32x4d wide_resnet50_2 shufflenet_v2_x0_5 shufflenet_v2_x1_5
squeezenet1_0 squeezenet1_1 swin_t swin_v2_t vgg11 vgg16_bn vit_b_16 vit_b_32""".split()
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
    for module in model.modules():  # statistics that a trained network would have, so that folding them is seen
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm) and module.running_mean is not None:
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return model.eval(), size


def export(model, x, path, new):
    import torch
    with torch.no_grad():
        if new:
            torch.onnx.export(model, (x[:1],), path, dynamo=True, external_data=False, verbose=False)
        else:
            torch.onnx.export(model, (x[:1],), path, dynamo=False, opset_version=17, input_names=["x"],
                              output_names=["y"], dynamic_axes={"x": {0: "batch"}, "y": {0: "batch"}})


def run(path, x):
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: x[i:i + 1]})[0] for i in range(len(x))])


def one(folder, name):
    base = os.path.join(folder, name.replace(":", "-"))
    todo = [e for e in ("old", "new") if not os.path.exists(f"{base}.{e}.output.f32")
            and not os.path.exists(f"{base}.{e}.failed")]
    if not todo:
        return
    try:
        import torch
        model, size = make(name)
        x = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(7)) * 2 - 1
    except Exception as error:  # a model that this version does not have
        for e in todo:
            with open(f"{base}.{e}.failed", "w") as file:
                file.write(f"model: {str(error)[:200]}\n")
        return
    for e in todo:
        try:
            export(model, x, f"{base}.{e}.onnx", e == "new")
            y = run(f"{base}.{e}.onnx", x.numpy())
            x.numpy().astype("<f4").tofile(f"{base}.{e}.input.f32")
            y.astype("<f4").tofile(f"{base}.{e}.output.f32")
            print(name, e, y.shape, float(y.max() - y.min()), flush=True)
        except Exception as error:
            with open(f"{base}.{e}.failed", "w") as file:
                file.write(f"export: {str(error).splitlines()[0][:200] if str(error) else type(error).__name__}\n")
            if os.path.exists(f"{base}.{e}.onnx"):
                os.remove(f"{base}.{e}.onnx")
            print(name, e, "failed", flush=True)


def main():
    folder, names = sys.argv[1], sys.argv[2:]
    os.makedirs(folder, exist_ok=True)
    for name in names or ["tv:" + n for n in TORCHVISION] + TIMM:
        one(folder, name)


if __name__ == "__main__":
    main()
