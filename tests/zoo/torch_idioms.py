"""Idioms that people write PyTorch classifiers of, as lines of source: blocks that get a map [N, C, H, W] or tokens
[N, T, C] and leave one, and the heads behind them.

A block is called with the Writer (torch_source.py), which knows the shape of x at that point, and random numbers.  fixed:
only where the picture's size is; least: the shorter side of the map that it needs.
"""
MAPS, TOKENS = {}, {}
ACTIVATIONS = ("F.relu(x)", "F.relu6(x)", "F.gelu(x)", "F.gelu(x, approximate='tanh')", "F.silu(x)", "F.mish(x)",
               "F.elu(x)", "F.elu(x, 0.5)", "F.celu(x, 1.3)", "F.selu(x)", "F.hardswish(x)", "F.hardsigmoid(x) * x",
               "F.leaky_relu(x, 0.1)", "F.softplus(x)", "F.softplus(x, beta=2, threshold=3)", "F.softsign(x)",
               "torch.tanh(x)", "x * torch.sigmoid(x)", "x * torch.sigmoid(1.702 * x)", "x * torch.tanh(F.softplus(x))",
               "torch.square(F.relu(x))", "F.hardtanh(x, -0.9, 1.1)", "F.relu6(x + 3) * x / 6",
               "F.threshold(x, 0.1, 0.05)", "F.logsigmoid(x)", "torch.relu(x) - 0.3 * torch.relu(-x)",
               "F.hardshrink(x, 0.2)", "F.softshrink(x, 0.2)", "x * 0.5 * (1.0 + torch.erf(x / math.sqrt(2.0)))",
               "F.tanhshrink(x)", "0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * torch.pow(x, 3))))",
               "torch.where(x > 0, x, 0.2 * x)", "x.clamp(min=-1.0)", "x.clamp(max=1.5)", "torch.clamp(x, -1, 1)",
               "torch.maximum(x, 0.1 * x)", "torch.minimum(x, x.new_tensor(1.0))", "F.glu(torch.cat([x, x * 0.5], 1), 1)",
               "torch.exp(-x * x)", "torch.abs(x) - 0.5", "torch.sign(x) * torch.sqrt(torch.abs(x) + 1e-3)",
               "x.masked_fill(x < -0.5, -0.5)", "torch.sin(x) + x", "x / (1 + x.abs())", "torch.log1p(torch.relu(x))",
               "x.float().type_as(x)", "torch.expm1(-torch.relu(x))", "x ** 2 * 0.3",
               "F.rrelu(x, 0.1, 0.3, False)", "torch.lerp(x, torch.tanh(x), 0.3)",
               "torch.addcmul(x, x, torch.sigmoid(x), value=0.5)", "torch.rsqrt(x * x + 1)", "x.atan()",
               "F.softmin(x, 1) + x", "torch.logaddexp(x, -x)", "torch.heaviside(x, x.new_tensor(0.5)) * x",
               "torch.nan_to_num(x)", "torch.fmod(x, 1.5)", "torch.remainder(x, 2.0)", "(x > 0).float() * x",
               "(x > 0) * x", "torch.cosh(x.clamp(-2, 2)) - 1", "x.reciprocal().clamp(-1, 1)")


def kind(table, fixed=False, least=1):

    def add(block):
        table[block.__name__] = (block, fixed, least)
        return block

    return add


# ---- Maps ----------------------------------------------------------------------------------------------------------


@kind(MAPS)
def conv(w, r):
    k, s = r.choice([1, 3, 3, 5, (1, 3), (3, 2)]), r.choice([1, 1, 1, 2])
    c = r.choice([6, 8, 12, 16])
    groups = r.choice([1, 1, 2, w.c]) if w.c % 2 == 0 else 1
    c = c if groups in (1, 2) else w.c * r.choice([1, 2])
    mode = r.choice(["zeros"] * 4 + ["reflect", "replicate", "circular"])
    pad = r.choice(["'same'"] if s == 1 else []) if s == 1 and r.random() < 0.2 else r.choice([1, 1, 0, 2, (1, 0)])
    if min(w.h, w.w) < 6 and pad == 0:
        pad = 1
    dilation = r.choice([1, 1, 1, 2]) if min(w.h, w.w) > 8 else 1
    if mode != "zeros":
        pad = 1
    m = w.module(
        f"nn.Conv2d({w.c}, {c}, {k}, stride={s}, padding={pad}, dilation={dilation}, groups={groups}, "
        f"bias={r.random() < .5}, "
        f"padding_mode='{mode}')")
    w.say(f"x = {m}(x)")
    if r.random() < .7:
        w.say(f"x = {w.module(w.norm(r, c))}(x)")
    if r.random() < .6:
        w.say(f"x = {r.choice(ACTIVATIONS)}")


@kind(MAPS)
def activation(w, r):
    w.say(f"x = {r.choice(ACTIVATIONS)}")


@kind(MAPS)
def activation_module(w, r):
    w.say(
        "x = " + w.module(
            r.choice([
                "nn.PReLU()", f"nn.PReLU({w.c})", "nn.RReLU()", "nn.Hardswish()", "nn.Mish()", "nn.GELU()",
                "nn.Softmax2d()", "nn.SELU(inplace=True)", "nn.LogSigmoid()"
                "nn.SELU(inplace=True)", "nn.LogSigmoid()"
            ])) + "(x)"
    )


@kind(MAPS)
def normalise(w, r):
    w.say(f"x = {w.module(w.norm(r))}(x)")


@kind(MAPS)
def layer_norm_2d(w, r):
    c = w.c
    m = w.module(f"nn.LayerNorm({c})")
    w.say(
        r.choice([
            f"x = {m}(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)",
            f"x = F.layer_norm(x.permute(0, 2, 3, 1), ({c},), {m}.weight, {m}.bias, 1e-6).permute(0, 3, 1, "
            f"2).contiguous()",
            f"u = x.mean(1, keepdim=True); s = (x - u).pow(2).mean(1, keepdim=True); "
            f"x = (x - u) / torch.sqrt(s + 1e-6) * {m}.weight[:, None, None] + {m}.bias[:, None, None]",
            f"s, u = torch.var_mean(x, dim=1, unbiased=False, keepdim=True); "
            f"x = (x - u) * torch.rsqrt(s + 1e-5) * {m}.weight.view(1, -1, 1, 1) + {m}.bias.view(1, -1, 1, 1)",
            "x = x * torch.rsqrt(x.pow(2).mean(1, keepdim=True) + 1e-6)", "x = F.normalize(x, dim=1)",
            "x = F.normalize(x, p=1, dim=1) * 4",
            "x = (x - x.mean((2, 3), keepdim=True)) / (x.std((1, 2, 3), keepdim=True) + 1e-3)",
            "g = torch.norm(x, p=2, dim=(2, 3), keepdim=True); x = x * (g / (g.mean(1, keepdim=True) + 1e-6)) + x",
            f"x = F.local_response_norm(x, {r.choice([3, 5])})"
        ]))


@kind(MAPS)
def squeeze_excite(w, r):
    c, m = w.c, max(2, w.c // 4)
    gate = r.choice([
        "torch.sigmoid(s)", "F.hardsigmoid(s)", "F.relu6(s + 3) / 6", "s.sigmoid()", "torch.tanh(s) + 1",
        "F.softmax(s, 1) * 4"
    ])
    how = r.randrange(7)
    if how < 3:
        pool = [
            "F.adaptive_avg_pool2d(x, 1)", "x.mean((2, 3), keepdim=True)",
            "F.avg_pool2d(x, x.shape[2:])" if not w.open_size else "x.mean([-1, -2], keepdim=True)"
        ][how]
        a, b = w.module(f"nn.Conv2d({c}, {m}, 1)"), w.module(f"nn.Conv2d({m}, {c}, 1)")
        w.say(f"s = {pool}", f"s = {b}(F.relu({a}(s)))", f"x = x * {gate}")
    elif how < 6:
        a, b = w.module(f"nn.Linear({c}, {m})"), w.module(f"nn.Linear({m}, {c})")
        w.say([
            "s = x.mean((2, 3))", "s = F.adaptive_avg_pool2d(x, 1).flatten(1)",
            "s = x.view(x.size(0), x.size(1), -1).mean(-1)"
        ][how - 3], f"s = {b}(F.silu({a}(s)))", f"s = {gate}",
              r.choice([
                  "x = x * s[:, :, None, None]", f"x = s.view(-1, {c}, 1, 1) * x",
                  "x = x * s.unsqueeze(-1).unsqueeze(-1).expand_as(x)", "x = torch.einsum('nchw,nc->nchw', x, s)"
              ]))
    else:  # ECA
        a = w.module("nn.Conv1d(1, 1, 3, padding=1, bias=False)")
        w.say(f"s = F.adaptive_avg_pool2d(x, 1)",
              f"s = {a}(s.squeeze(-1).transpose(-1, -2)).transpose(-1, -2).unsqueeze(-1)",
              "x = x * s.sigmoid().expand_as(x)")


@kind(MAPS)
def spatial_attention(w, r):
    a = w.module("nn.Conv2d(2, 1, 3, padding=1)")
    w.say(f"s = torch.cat([x.max(1, keepdim=True)[0], torch.mean(x, 1, keepdim=True)], 1)",
          f"x = x * torch.sigmoid({a}(s))")


@kind(MAPS)
def global_context(w, r):
    a, b = w.module(f"nn.Conv2d({w.c}, 1, 1)"), w.module(f"nn.Conv2d({w.c}, {w.c}, 1)")
    w.say("n, c = x.shape[:2]", f"s = F.softmax({a}(x).reshape(n, 1, -1), -1).unsqueeze(3)",
          "s = x.reshape(n, c, -1).unsqueeze(1) @ s", f"x = x + {b}(s.view(n, c, 1, 1))")


@kind(MAPS)
def depthwise_separable(w, r):
    k = r.choice([3, 5, 7])
    c = r.choice([8, 12, 16])
    a, b = w.module(f"nn.Conv2d({w.c}, {w.c}, {k}, padding={k // 2}, groups={w.c})"), w.module(
        f"nn.Conv2d({w.c}, {c}, 1)")
    w.say(f"x = {b}(F.silu({a}(x)))")


@kind(MAPS)
def residual(w, r):
    a, b = w.module(f"nn.Conv2d({w.c}, {w.c}, 3, padding=1)"), w.module(w.norm(r))
    gamma = w.module(f"nn.ParameterDict({{'g': nn.Parameter(0.3 * torch.randn({w.c}, 1, 1))}})")
    w.say(
        f"y = {b}({a}(x))",
        r.choice([
            "x = x + y", "x = F.relu(x + y)", f"x = x + {gamma}['g'] * y", f"x = torch.add(x, y, alpha=0.5)",
            "x = F.dropout(y, 0.2, self.training) + x", "x = x - y", "x = torch.sub(x, y, alpha=0.3)"
        ]))


@kind(MAPS)
def branches(w, r):
    a, b = w.module(f"nn.Conv2d({w.c}, 4, 1)"), w.module(f"nn.Conv2d({w.c}, 6, 3, padding=1)")
    pool = r.choice([
        "F.max_pool2d(x, 3, 1, 1)", "F.avg_pool2d(x, 3, 1, 1)", "F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)", "x"
    ])
    w.say(f"x = torch.cat([{a}(x), {b}(x), {pool}], dim={r.choice([1, -3])})")


@kind(MAPS)
def split_branches(w, r):
    if w.c % 2:
        return
    h = w.c // 2
    a = w.module(f"nn.Conv2d({h}, {h}, 3, padding=1)")
    w.say(
        r.choice([
            "p, q = x.chunk(2, 1)", f"p, q = torch.split(x, {h}, dim=1)", f"p, q = x[:, :{h}], x[:, {h}:]",
            f"p, q = torch.tensor_split(x, 2, 1)", f"p, q = x.view(x.shape[0], 2, {h}, x.shape[2], x.shape[3]).unbind(1)",
            "p, q = x[:, ::2], x[:, 1::2]", f"p, q = x.narrow(1, 0, {h}), x.narrow(1, {h}, {h})"
        ]),
        r.choice([
            f"x = torch.cat((p, {a}(q)), 1)", f"x = p * {a}(q)", f"x = p * torch.sigmoid({a}(q))",
            f"x = torch.stack((p, {a}(q)), 2).flatten(1, 2)", f"x = torch.stack([p, {a}(q)]).sum(0)",
            f"x = torch.stack([p, {a}(q)], -1).max(-1)[0]"
        ]))


@kind(MAPS)
def channel_shuffle(w, r):
    if w.c % 2:
        return
    g = 2
    w.say(
        r.choice([
            f"n, c, h, v = x.size(); x = x.view(n, {g}, c // {g}, h, v).transpose(1, 2).contiguous().view(n, -1, h, v)",
            f"x = F.channel_shuffle(x, {g})",
            f"x = x.reshape(x.shape[0], {g}, -1, x.shape[2], x.shape[3]).permute(0, 2, 1, 3, 4).flatten(1, 2)",
            f"x = x[:, torch.arange({w.c} - 1, -1, -1)]", "x = x.flip(1)",
            f"x = torch.index_select(x, 1, torch.tensor({r.sample(range(w.c), w.c)}))", "x = torch.roll(x, 1, 1)",
            "x = x.roll(shifts=(1, -1), dims=(2, 3))", "x = torch.flip(x, (2, 3))"
        ]))


@kind(MAPS, least=4)
def pool(w, r):
    w.say("x = " + r.choice([
        "F.max_pool2d(x, 2)", "F.max_pool2d(x, 3, 2, 1)", "F.max_pool2d(x, 3, 2, ceil_mode=True)", "F.avg_pool2d(x, 2)",
        "F.avg_pool2d(x, 2, 2, ceil_mode=True, count_include_pad=False)", "F.avg_pool2d(x, 3, 2, 1)",
        "F.avg_pool2d(x, 3, 2, 1, count_include_pad=False)", "F.lp_pool2d(F.relu(x), 2, 2)",
        "F.max_pool2d(x, 3, 1, 2, dilation=2)", "F.max_pool2d(x, (2, 1))", "F.avg_pool2d(x, 3, 2, 1, ceil_mode=True)",
        "-F.max_pool2d(-x, 2)", "F.avg_pool2d(x, 3, 2, divisor_override=7)",
        "F.max_pool2d(x, 2, ceil_mode=True) + F.avg_pool2d(x, 2, ceil_mode=True)", "F.avg_pool2d(x ** 2, 2).sqrt()",
        "F.max_pool2d(F.pad(x, (0, 1, 0, 1)), 2)", "F.max_pool2d(F.pad(x, (0, 1, 0, 1), value=-1.0), 2, stride=1)"
    ]))


@kind(MAPS, fixed=True, least=5)
def adaptive(w, r):
    w.say("x = " + r.choice([
        "F.adaptive_avg_pool2d(x, (3, 5))", "F.adaptive_avg_pool2d(x, 4)", "F.adaptive_avg_pool2d(x, (None, 2))",
        "F.adaptive_avg_pool2d(x, (1, 3))", f"F.adaptive_max_pool2d(x, ({max(1, w.h // 2)}, {w.w}))" if w.h %
        2 == 0 else f"F.adaptive_avg_pool2d(x, ({w.h}, 1))"
    ]))


@kind(MAPS)
def pad(w, r):
    p = r.choice([(1, 1, 1, 1), (0, 1, 0, 1), (2, 0, 1, 1)])
    w.say(
        r.choice([
            f"x = F.pad(x, {p})", f"x = F.pad(x, {p}, value=0.5)", f"x = F.pad(x, {p}, mode='replicate')",
            f"x = F.pad(x, (1, 1, 1, 1), mode='reflect')", "x = F.pad(x, (1, 1, 1, 1), mode='circular')",
            "x = F.pad(x, (0, 0, 0, 0, 1, 1))", f"x = {w.module('nn.ZeroPad2d((0, 1, 0, 1))')}(x)",
            f"x = {w.module('nn.ReflectionPad2d(1)')}(x)", "x = F.pad(x, (-1, 0, 0, 0))", "x = x[:, :, :-1, 1:]",
            "x = x[..., 1:-1, :]"
        ]) if min(w.h, w.w) > 3 else "x = F.pad(x, (1, 1, 1, 1))")


@kind(MAPS)
def resize(w, r):
    if max(w.h, w.w) > 24:
        w.say("x = " + r.choice([
            "F.interpolate(x, scale_factor=0.5)", "F.interpolate(x, scale_factor=0.5, mode='bilinear')",
            "F.interpolate(x, scale_factor=0.5, mode='area')" if not w.open_size else "x[:, :, ::2, ::2]",
            "x[:, :, ::2, ::2]", "F.interpolate(x, scale_factor=0.6, mode='bilinear', recompute_scale_factor=True)"
        ]))
        return
    size = (w.h + 3, w.w - 1)
    w.say(
        r.choice([
            "x = F.interpolate(x, scale_factor=2)", "x = F.interpolate(x, scale_factor=2, mode='bilinear')",
            "x = F.interpolate(x, scale_factor=2, mode='bilinear', align_corners=True)",
            "x = F.interpolate(x, scale_factor=1.5)", "x = F.interpolate(x, scale_factor=2, mode='bicubic')",
            "y = F.max_pool2d(x, 2); x = x + F.interpolate(y, size=x.shape[2:])",
            "y = F.avg_pool2d(x, 2); "
            "x = x * torch.sigmoid(F.interpolate(y, size=x.shape[-2:], mode='bilinear', align_corners=False))",
            *([
                f"x = F.interpolate(x, size={size}, mode='bilinear', align_corners=True)",
                f"x = F.interpolate(x, size={size}, mode='nearest')",
                f"x = F.interpolate(x, size={size}, mode='nearest-exact')",
                f"x = F.interpolate(x, size={size}, mode='bicubic', align_corners=False)",
                f"x = F.interpolate(x, size={size}, mode='bilinear', antialias=True)"
            ] if not w.open_size else []), f"x = {w.module('nn.Upsample(scale_factor=2)')}(x)",
            "x = x.repeat_interleave(2, 2)", "x = x.repeat(1, 1, 2, 1)"
        ]))


@kind(MAPS)
def pixel_unshuffle(w, r):
    if w.h % 2 or w.w % 2 or w.c > 12 or w.open_size:
        return
    w.say(
        r.choice([
            "x = F.pixel_unshuffle(x, 2)",
            "x = torch.cat([x[..., ::2, ::2], x[..., 1::2, ::2], x[..., ::2, 1::2], x[..., 1::2, 1::2]], 1)",
            "n, c, h, v = x.shape; "
            "x = x.view(n, c, h // 2, 2, v // 2, 2).permute(0, 3, 5, 1, 2, 4).reshape(n, c * 4, h // 2, v // 2)",
            "x = F.unfold(x, 2, stride=2).view(x.shape[0], -1, x.shape[2] // 2, x.shape[3] // 2)"
        ]))


@kind(MAPS)
def pixel_shuffle(w, r):
    if w.c % 4 or w.h > 16:
        return
    w.say("x = F.pixel_shuffle(x, 2)")


@kind(MAPS)
def conv_transpose(w, r):
    if w.h > 14:
        return
    k, s = r.choice([(2, 2), (3, 1), (4, 2), (3, 2)])
    groups = r.choice([1, 1, 2]) if w.c % 2 == 0 else 1
    extra = r.choice(["", ", output_padding=1" if s == 2 else "", ", padding=1" if k > 2 else "", ", dilation=2"])
    w.say(
        "x = " + w.module(f"nn.ConvTranspose2d({w.c}, 8, {k}, stride={s}, groups={groups}, "
                          f"bias={r.random() < .5}{extra})") + "(x)"
    )


@kind(MAPS)
def weight_norm(w, r):
    w.say(
        "x = " + w.module(
            r.choice(["nn.utils.parametrizations.weight_norm", "nn.utils.spectral_norm", "nn.utils.weight_norm"]) +
            f"(nn.Conv2d({w.c}, 8, 3, padding=1))") + "(x)"
    )


@kind(MAPS)
def standardised(w, r):
    c = w.module(f"nn.Conv2d({w.c}, 8, 3, padding=1)")
    w.say(
        r.choice([
            f"v = {c}.weight; v = (v - v.mean((1, 2, 3), keepdim=True)) / (v.std((1, 2, 3), keepdim=True) + 1e-5); "
            f"x = F.conv2d(x, v, {c}.bias, padding=1)",
            f"v = F.batch_norm({c}.weight.reshape(1, 8, -1), None, None, training=True, momentum=0., "
            f"eps=1e-6).reshape_as({c}.weight); x = F.conv2d(x, v, {c}.bias, padding=1)"
        ]))


@kind(MAPS)
def scale_shift(w, r):
    p = w.module(
        f"nn.ParameterDict({{'a': nn.Parameter(torch.randn(1, {w.c}, 1, 1)), "
        f"'b': nn.Parameter(torch.randn({w.c}, 1, 1) * 0.2), 's': nn.Parameter(torch.tensor(0.7))}})"
    )
    w.say(
        r.choice([
            f"x = x * {p}['a'] + {p}['b']", f"x = {p}['s'] * x + {p}['b']", f"x = torch.addcmul({p}['b'], x, {p}['a'])",
            f"x = x * F.softplus({p}['a'])", f"x = (x - {p}['b']) / ({p}['a'].abs() + 0.5)", f"x = {p}['b'] - x",
            f"x = {p}['s'] / (1 + x.abs())", f"x = x * {p}['a'].exp().clamp(max=2)",
            f"x = x.clone(); x = x + {p}['b'].expand(x.shape[0], -1, x.shape[2], x.shape[3])"
        ]))


@kind(MAPS)
def gates(w, r):
    a = w.module(f"nn.Conv2d({w.c}, {2 * w.c}, 1)")
    w.say(
        r.choice([
            f"x = F.glu({a}(x), 1)", f"p, q = {a}(x).chunk(2, dim=1); x = p * F.gelu(q)",
            f"p, q = {a}(x).split({w.c}, 1); x = F.silu(q) * p + x",
            f"p, q = torch.chunk({a}(x), 2, 1); x = torch.tanh(p) * torch.sigmoid(q)"
        ]))


@kind(MAPS)
def cumulative(w, r):
    w.say("x = " + r.choice([
        "torch.cumsum(x, 1) / 4", "x.cumsum(-1) * 0.2", "torch.cumsum(x, 2) * 0.2",
        "x.softmax(-1) * 3", "F.log_softmax(x, 1)",
        "x - x.logsumexp(1, keepdim=True)", "x - x.amax((2, 3), keepdim=True)", "x - x.amin(1, keepdim=True)",
        "x.softmax(dim=2) + x", "x - torch.logsumexp(x, (2, 3), keepdim=True)", "x / (x.abs().sum(1, keepdim=True) + 1)",
        "x.prod(1, keepdim=True).clamp(-1, 1) + x",
        "x - x.mean((1, 2, 3), keepdim=True)",
        "x.std(dim=1, keepdim=True) * x", "x.var((2, 3), keepdim=True, unbiased=False) + x"
    ]))


@kind(MAPS)
def masks(w, r):
    w.say(
        r.choice([
            "x = torch.where(x > x.mean(1, keepdim=True), x, torch.zeros_like(x))", "x = x.masked_fill(x.abs() > 2, 0.)",
            "x = torch.where((x > -1) & (x < 1), x, x * 0.5)", "x = x * (x.ge(0).logical_or(x.lt(-1))).float()",
            "x = torch.where(x.ne(0), x, torch.ones_like(x))", "x = x + torch.ones(1, 1, x.shape[2], 1)",
            "x = x + torch.zeros_like(x).fill_(0.3)", "x = x + torch.full((x.shape[0], 1, 1, 1), 0.25)",
            "x = torch.tril(x)", "x = torch.triu(x, 1)", "x = x * torch.arange(x.shape[3]).float() / x.shape[3]",
            "x = torch.cat([x, torch.linspace(-1, 1, x.shape[3]).expand(x.shape[0], 1, x.shape[2], x.shape[3])], 1)"
            if not w.open_size else
            "x = torch.cat([x, (torch.arange(x.shape[3], dtype=torch.float32) / x.shape[3]).expand(x.shape[0], 1, "
            "x.shape[2], x.shape[3])], 1)",
            "x = x.clamp(torch.tensor(-1.), torch.tensor(1.))"
        ]))


@kind(MAPS)
def position(w, r):
    if w.open_size:
        p = w.module(f"nn.ParameterDict({{'p': nn.Parameter(torch.randn(1, {w.c}, 4, 4))}})")
        w.say(
            f"x = x + F.interpolate({p}['p'], size=x.shape[-2:], mode='{r.choice(['bilinear', 'bicubic', 'nearest'])}')")
    else:
        p = w.module(f"nn.ParameterDict({{'p': nn.Parameter(torch.randn({w.c}, {w.h}, {w.w}))}})")
        w.say(f"x = x + {p}['p']")


@kind(MAPS, fixed=True, least=4)
def windows(w, r):
    s = r.choice([2, 3, 4])
    a = w.module(f"nn.Linear({w.c}, {3 * w.c})")
    t = s * s
    bias = w.module(f"nn.ParameterDict({{'t': nn.Parameter(torch.randn({(2 * s - 1) ** 2}, 1))}})")
    w.say(f"h0, w0 = x.shape[2], x.shape[3]", f"x = F.pad(x, (0, (-w0) % {s}, 0, (-h0) % {s}))", "n, c, h, v = x.shape")
    shift = r.random() < .5
    if shift:
        w.say("x = torch.roll(x, (-1, -1), (2, 3))")
    w.say(f"y = x.view(n, c, h // {s}, {s}, v // {s}, {s}).permute(0, 2, 4, 3, 5, 1).reshape(-1, {t}, c)",
          f"q, k, z = {a}(y).view(-1, {t}, 3, c).unbind(2)",
          f"g = torch.stack(torch.meshgrid(torch.arange({s}), torch.arange({s}), indexing='ij')).flatten(1)",
          f"g = (g[:, :, None] - g[:, None, :]).permute(1, 2, 0) + {s - 1}",
          f"b = {bias}['t'][(g[..., 0] * {2 * s - 1} + g[..., 1]).view(-1)].view({t}, {t})",
          "k = q @ k.transpose(-2, -1) * c ** -0.5 + b")
    if shift:
        w.say("m = torch.zeros(1, h, v, 1); m[:, -1:, :, :] = 1; m[:, :, -1:, :] += 2",
              f"m = m.view(1, h // {s}, {s}, v // {s}, {s}, 1).permute(0, 1, 3, 2, 4, 5).reshape(-1, {t})",
              "m = m.unsqueeze(1) - m.unsqueeze(2)", "m = m.masked_fill(m != 0, -100.0).masked_fill(m == 0, 0.0)",
              f"k = (k.view(n, -1, {t}, {t}) + m.unsqueeze(0)).view(-1, {t}, {t})")
    w.say("y = k.softmax(-1) @ z",
          f"x = y.view(n, h // {s}, v // {s}, {s}, {s}, c).permute(0, 5, 1, 3, 2, 4).reshape(n, c, h, v)")
    if shift:
        w.say("x = torch.roll(x, (1, 1), (2, 3))")
    w.say("x = x[:, :, :h0, :w0].contiguous()")


@kind(MAPS)
def map_attention(w, r):
    if w.c % 2 or w.h * w.w > 600:
        return
    h, d = 2, w.c // 2
    a = w.module(f"nn.Conv2d({w.c}, {3 * w.c}, 1)")
    w.say("n, c, hh, ww = x.shape", f"q, k, v = {a}(x).reshape(n, 3, {h}, {d}, -1).permute(1, 0, 2, 3, 4).unbind(0)")
    w.say(
        r.choice([
            f"y = (v @ (q.transpose(-2, -1) @ k * {d ** -.5:.4f}).softmax(-1).transpose(-2, -1)).reshape(n, c, hh, ww)",
            f"y = ((F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).transpose(-2, -1)).softmax(-1) @ v).reshape(n, "
            f"c, hh, ww)",
            f"y = torch.einsum('bhij,bhdj->bhdi', (torch.einsum('bhdi,bhdj->bhij', q, "
            f"k) * {d ** -.5:.4f}).softmax(-1), v).reshape(n, c, hh, ww)",
            "z = F.relu(q).transpose(-1, -2); "
            "y = (((z @ (F.relu(k) @ v.transpose(-1, -2))) / (z @ F.relu(k).sum(-1, "
            "keepdim=True) + 1e-3)).transpose(-1, -2)).reshape(n, c, hh, ww)",
            "y = F.scaled_dot_product_attention(q.transpose(-1, -2), k.transpose(-1, -2), v.transpose(-1, "
            "-2)).transpose(-1, -2).reshape(n, c, hh, ww)"
        ]), "x = x + y")


@kind(MAPS)
def coordinate_attention(w, r):
    a, b, d = w.module(f"nn.Conv2d({w.c}, 4, 1)"), w.module(f"nn.Conv2d(4, {w.c}, 1)"), w.module(
        f"nn.Conv2d(4, {w.c}, 1)")
    w.say("p = x.mean(3, keepdim=True); q = x.mean(2, keepdim=True).permute(0, 1, 3, 2)",
          f"y = F.hardswish({a}(torch.cat([p, q], 2)))", "p, q = torch.split(y, [x.shape[2], x.shape[3]], 2)",
          f"x = x * {b}(p).sigmoid() * {d}(q.permute(0, 1, 3, 2)).sigmoid()")


@kind(MAPS)
def conv_1d(w, r):
    a = w.module(f"nn.Conv1d({w.c}, {w.c}, 3, padding=1, groups={r.choice([1, w.c])})")
    w.say("n, c, h, v = x.shape", f"x = F.relu({a}(x.flatten(2))).view(n, c, h, v)")


@kind(MAPS)
def dynamic_conv(w, r):
    if w.open_size or w.h > 12:
        return
    a = w.module(f"nn.Linear({w.c}, {9 * w.c})")
    w.say(
        f"k = {a}(x.mean((2, 3))).view(-1, 1, 3, 3)", "n, c, h, v = x.shape",
        "x = F.conv2d(x.reshape(1, -1, h, v), k * 0.3, padding=1, groups=n * c).view(n, c, h, v)" if r.random() < .5 else
        "u = F.unfold(x, 3, padding=1).view(n, c, 9, h, v); x = (u * k.view(n, c, 9, 1, 1).softmax(2)).sum(2)")


@kind(MAPS)
def to_tokens(w, r):
    if w.h * w.w > 400:
        w.say("x = F.max_pool2d(x, 2)")
    how = r.randrange(6)
    w.say([
        "x = x.flatten(2).transpose(1, 2)", "n, c, h, v = x.shape; x = x.view(n, c, h * v).permute(0, 2, 1)",
        "x = x.permute(0, 2, 3, 1).reshape(x.shape[0], -1, x.shape[1])",
        "x = torch.einsum('nchw->nhwc', x).flatten(1, 2)", "x = x.flatten(2).mT", "x = x.movedim(1, -1).flatten(1, 2)"
    ][how])


# ---- Tokens --------------------------------------------------------------------------------------------------------


@kind(TOKENS)
def linear(w, r):
    c = r.choice([8, 12, 16])
    w.say(f"x = {w.module(f'nn.Linear({w.c}, {c}, bias={r.random() < .7})')}(x)")


@kind(TOKENS)
def token_activation(w, r):
    w.say("x = " + r.choice([a for a in ACTIVATIONS if "glu" not in a]))


@kind(TOKENS)
def token_norm(w, r):
    m = w.module(
        r.choice([
            f"nn.LayerNorm({w.c})", f"nn.LayerNorm({w.c}, eps=1e-6)", f"nn.LayerNorm({w.c}, elementwise_affine=False)",
            f"nn.RMSNorm({w.c}, eps=1e-6)", f"nn.LayerNorm({w.c}, bias=False)"
        ]))
    b = w.module(f"nn.BatchNorm1d({w.c})")
    w.say(
        r.choice([
            f"x = {m}(x)", f"x = {m}(x)", f"x = {b}(x.transpose(1, 2)).transpose(1, 2)",
            f"x = {b}(x.flatten(0, 1)).reshape_as(x)", "x = F.layer_norm(x, x.shape[-1:])",
            f"x = F.group_norm(x.transpose(1, 2), 1).transpose(1, 2)",
            "x = F.instance_norm(x.transpose(1, 2)).transpose(1, 2)"
        ]))


@kind(TOKENS)
def mlp(w, r):
    h = 2 * w.c
    a, b, n = w.module(f"nn.Linear({w.c}, {h})"), w.module(f"nn.Linear({r.choice([h])}, {w.c})"), w.module(
        f"nn.LayerNorm({w.c})")
    act = r.choice([v for v in ACTIVATIONS if "glu" not in v and "softm" not in v])
    g = w.module(f"nn.ParameterDict({{'g': nn.Parameter(torch.randn({w.c}) * 0.5)}})")
    w.say("y = x", f"x = {a}({n}(x))", f"x = {act}", f"x = y + {g}['g'] * {b}(x)")


@kind(TOKENS)
def swiglu(w, r):
    a, b = w.module(f"nn.Linear({w.c}, {4 * w.c})"), w.module(f"nn.Linear({2 * w.c}, {w.c})")
    w.say(f"p, q = {a}(x).chunk(2, dim=-1)", f"x = x + {b}(F.silu(p) * q)")


def _attention(w, r, heads):
    d = w.c // heads
    q = w.module(f"nn.Linear({w.c}, {3 * w.c})")
    o = w.module(f"nn.Linear({w.c}, {w.c})")
    w.say(
        "n, t, c = x.shape",
        r.choice([
            f"q, k, v = {q}(x).reshape(n, t, 3, {heads}, {d}).permute(2, 0, 3, 1, 4).unbind(0)",
            f"z = {q}(x).reshape(n, t, 3, {heads}, c // {heads}).permute(2, 0, 3, 1, 4); q, k, v = z[0], z[1], z[2]",
            f"q, k, v = (i.view(n, t, {heads}, {d}).transpose(1, 2) for i in {q}(x).chunk(3, -1))",
            f"q, k, v = [i.unflatten(-1, ({heads}, {d})).transpose(1, 2) for i in {q}(x).split(c, -1)]"
        ]))
    return o, d


@kind(TOKENS)
def attention(w, r):
    heads = r.choice([h for h in (1, 2, 4) if w.c % h == 0])
    o, d = _attention(w, r, heads)
    scale = r.choice([f"{d ** -.5:.5f}", f"1 / math.sqrt({d})"])
    how = r.randrange(8)
    if how == 0 and not w.open_size:
        b = w.module(f"nn.ParameterDict({{'b': nn.Parameter(torch.randn({heads}, {w.t}, {w.t}))}})")
        w.say(f"a = (q @ k.transpose(-2, -1)) * {scale} + {b}['b']", "y = a.softmax(dim=-1) @ v")
    elif how == 1:
        w.say(f"a = (q * {scale}) @ k.mT",
              "a = a.masked_fill(torch.triu(torch.ones(t, t, dtype=torch.bool), 1), float('-inf'))",
              "y = F.softmax(a, -1) @ v")
    elif how == 2:
        w.say(f"y = F.scaled_dot_product_attention(q, k, v, is_causal={r.random() < .5})")
    elif how == 3:
        w.say("q, k = F.normalize(q, dim=-1), F.normalize(k, dim=-1)",
              "y = F.dropout((q @ k.transpose(-2, -1) * 5.0).softmax(-1), 0.1, self.training) @ v")
    elif how == 4:
        w.say(f"a = torch.einsum('bhqd,bhkd->bhqk', q, k) * {scale}",
              "y = torch.einsum('bhqk,bhkd->bhqd', torch.softmax(a, -1), v)")
    elif how == 5:
        m = w.module(f"nn.Conv2d({heads}, {heads}, 1)")
        w.say(f"a = {m}(q @ k.transpose(-2, -1) * {scale}).softmax(-1)", f"y = {m}(a) @ v")
    elif how == 6:  # rotary
        if d % 2:
            w.say("y = v")
        else:
            w.say(
                f"f = torch.arange(t).float()[:, None] / 10 ** (torch.arange({d // 2}).float() / {d // 2})[None]",
                "c1, s1 = torch.cos(f).repeat(1, 2), torch.sin(f).repeat(1, 2)",
                f"h = lambda i: torch.cat([-i[..., {d // 2}:], i[..., :{d // 2}]], -1)"
                if r.random() < .5 else "h = lambda i: torch.stack([-i[..., 1::2], i[..., ::2]], -1).reshape(i.shape)",
                "q, k = q * c1 + h(q) * s1, k * c1 + h(k) * s1",
                f"y = (q @ k.transpose(-2, -1) * {scale}).softmax(-1) @ v")
    else:
        w.say(
            f"a = torch.baddbmm(torch.zeros(1, 1, 1), q.flatten(0, 1), k.flatten(0, 1).transpose(1, 2), beta=0.0, "
            f"alpha={scale})",
            f"y = torch.bmm(a.softmax(-1), v.reshape(n * {heads}, t, {d})).view(n, {heads}, t, {d})")
    w.say(
        r.choice([
            "y = y.transpose(1, 2).reshape(n, t, c)", "y = y.permute(0, 2, 1, 3).contiguous().view(n, t, -1)",
            "y = y.transpose(1, 2).flatten(2)", "y = torch.cat(y.unbind(1), -1)"
        ]), f"x = x + {o}(y)")


@kind(TOKENS)
def multihead_module(w, r):
    heads = r.choice([h for h in (1, 2, 4) if w.c % h == 0])
    first = r.random() < .7
    m = w.module(f"nn.MultiheadAttention({w.c}, {heads}, batch_first={first})")
    w.say(f"x = x + {m}(x, x, x, need_weights=False)[0]"
          if first else f"y = x.transpose(0, 1); x = x + {m}(y, y, y)[0].transpose(0, 1)")


@kind(TOKENS)
def encoder_module(w, r):
    heads = r.choice([h for h in (1, 2, 4) if w.c % h == 0])
    w.say(
        "x = " + w.module(f"nn.TransformerEncoderLayer({w.c}, {heads}, {2 * w.c}, batch_first=True, "
                          f"norm_first={r.random() < .5}, activation='gelu')") + "(x)"
    )


@kind(TOKENS)
def class_token(w, r):
    p = w.module(f"nn.ParameterDict({{'t': nn.Parameter(torch.randn(1, 1, {w.c}))}})")
    w.say(
        r.choice([
            f"x = torch.cat([{p}['t'].expand(x.shape[0], -1, -1), x], 1)",
            f"x = torch.cat(({p}['t'].repeat(x.size(0), 1, 1), x), dim=1)",
            f"x = torch.cat(({p}['t'] + torch.zeros_like(x[:, :1]), x), dim=1)",
            f"x = torch.hstack(({p}['t'].expand_as(x[:, :1]), x))"
        ]))


@kind(TOKENS, fixed=True)
def token_position(w, r):
    p = w.module(f"nn.Parameter(torch.randn(1, {w.t}, {w.c}))" if r.random() < .5 else f"nn.Embedding({w.t}, {w.c})")
    w.say(f"x = x + {p}" if "Parameter" in w.made[-1] else f"x = x + {p}(torch.arange(x.shape[1]))")


@kind(TOKENS, fixed=True)
def token_mixing(w, r):
    a = w.module(f"nn.Linear({w.t}, {w.t})" if r.random() < .5 else f"nn.Conv1d({w.t}, {w.t}, 1)")
    w.say(f"x = x + F.gelu({a}(x.transpose(1, 2)).transpose(1, 2))" if "Linear" in w.made[-1] else f"x = x * {a}(x)")


@kind(TOKENS)
def token_pick(w, r):
    w.say(
        r.choice([
            "x = x[:, ::2]" if w.t > 2 else "x = x", "x = x.flip(1)", "x = torch.cat([x[:, 1:], x[:, :1]], 1)",
            "x = torch.gather(x, 1, torch.zeros(x.shape[0], x.shape[1], x.shape[2], dtype=torch.long) + 0) + x",
            "x = torch.cat((x, x.mean(1, keepdim=True)), 1)",
            "x = x - torch.cat([torch.zeros_like(x[:, :1]), x[:, :-1]], 1)", "x = torch.roll(x, 2, 1)",
            "x = x[:, torch.tensor([0, -1])]" if w.t > 3 else "x = x",
            "x = torch.take_along_dim(x, torch.zeros(1, 1, 1, dtype=torch.long), 1) + x", "x = x.cumsum(1) * 0.1",
            "x = x.softmax(1)", "x = x[:, :, [0, 1, 2, 3, 1]]", "x = x.index_select(1, torch.tensor([0]))+x"
        ]))


@kind(TOKENS)
def outer(w, r):
    w.say(
        r.choice([
            "x = torch.matmul(x.transpose(1, 2), x) / x.shape[1]", "x = torch.einsum('btc,btd->bcd', x, x) / x.shape[1]",
            "x = x + torch.bmm(x, x.new_ones(x.shape[0], x.shape[2], x.shape[2])) * 0.1",
            "x = x + x.norm(dim=-1, keepdim=True)"
        ]) if w.c > 3 else "x = x")


@kind(TOKENS, fixed=True)
def to_map(w, r):
    side = int(round(w.t**.5))
    if side * side == w.t:
        w.say(
            r.choice([
                f"x = x.transpose(1, 2).reshape(-1, {w.c}, {side}, {side})",
                f"x = x.permute(0, 2, 1).view(x.size(0), {w.c}, {side}, {side})",
                f"x = x.unflatten(1, ({side}, {side})).permute(0, 3, 1, 2)"
            ]))


def head(w, r, classes):
    end = []
    if w.tokens:
        end.append("x = " + r.choice([
            "x.mean(1)", "x[:, 0]", "x.max(1)[0]", "x[:, -1]", "x.amax(dim=1)", "torch.cat([x[:, 0], x.mean(1)], -1)",
            "(x.softmax(1) * x).sum(1)", "x.transpose(1, 2).mean(-1)",
            "F.adaptive_avg_pool1d(x.transpose(1, 2), 1).flatten(1)", "x.select(1, 0)"
        ]))
        wide = "torch.cat" in end[-1]
        c = w.c * (1 + wide)
    else:
        how = r.randrange(9)
        end.append([
            "x = F.adaptive_avg_pool2d(x, 1).flatten(1)", "x = x.mean((2, 3))",
            "x = torch.flatten(F.adaptive_avg_pool2d(x, (1, 1)), 1)", "x = x.mean(3).mean(2)",
            "x = F.adaptive_max_pool2d(x, 1).view(x.size(0), -1)", "x = x.view(x.size(0), x.size(1), -1).mean(2)",
            "x = x.clamp(min=1e-4).pow(3).mean((2, 3)).pow(1 / 3)",
            "x = torch.cat([F.adaptive_avg_pool2d(x, 1), F.adaptive_max_pool2d(x, 1)], 1).squeeze(-1).squeeze(-1)",
            "x = x.flatten(1)" if not w.open_size else "x = torch.logsumexp(x, (2, 3))"
        ][how])
        c = w.c * w.h * w.w if how == 8 and not w.open_size else w.c * (1 + (how == 7))
    if r.random() < .3:
        end.append(f"x = {w.module(r.choice([f'nn.LayerNorm({c})', f'nn.BatchNorm1d({c})']))}(x)")
    if r.random() < .25:
        end.append(f"x = F.dropout(F.relu({w.module(f'nn.Linear({c}, 20)')}(x)), 0.5, self.training)")
        c = 20
    if r.random() < .15:
        m = w.module(f"nn.Linear({c}, {classes}, bias=False)")
        end.append(f"x = 8 * F.linear(F.normalize(x), F.normalize({m}.weight))")
    else:
        end.append(f"x = {w.module(f'nn.Linear({c}, {classes})')}(x)")
    end.append("x = " +
               r.choice(["x"] * 6 +
                        ["F.softmax(x, 1)", "x.log_softmax(-1)", "torch.sigmoid(x)", "torch.log(F.softmax(x, -1))"]))
    return end
