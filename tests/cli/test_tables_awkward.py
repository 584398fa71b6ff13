"""Tables that nobody here wrote: one table in many spellings says the same, and what cannot be read is told by a sentence."""
import numpy
import pytest

ROWS = 120
SETTINGS = ("--columns", 0, "--folds", 3)


def table(seed=1):
    """Lines of cells: x tells of y, z does not; k is whole numbers."""
    r = numpy.random.default_rng(seed)
    y, k = r.integers(0, 2, ROWS), r.integers(0, 5, ROWS)
    x, z = 1.5 * y + r.normal(size=ROWS), r.normal(size=ROWS)
    return [["x", "z", "k", "y"]] + [[f"{x[i]:.6f}", f"{z[i]:.6f}", str(k[i]), "no" if y[i] else "yes"] for i in range(ROWS)]


def text(lines, separator=",", end="\n"):
    return end.join(separator.join(line) for line in lines) + end


def quoted(lines):
    return [['"' + cell.replace('"', '""') + '"' for cell in line] for line in lines]


def with_column(lines, name, values):
    return [[name, *lines[0]]] + [[str(value), *line] for value, line in zip(values, lines[1:])]


@pytest.fixture
def estimate(infomask, tmp_path):
    def run(content, *arguments, labels="y"):
        (tmp_path / "t.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
        return infomask("estimate", "--data", "t.csv", "--labels", labels, *SETTINGS, "--json", *arguments)
    return run


def said(done):
    assert done.code == 0, done.err
    return done.json["mutual_information"], done.json["accuracy"], done.json["samples"]


SPELLINGS = {
    "CRLF": lambda t: text(t, end="\r\n"), "CR": lambda t: text(t, end="\r"), "no line end": lambda t: text(t)[:-1],
    "byte order mark": lambda t: "\ufeff" + text(t), "semicolons": lambda t: text(t, ";"), "tabs": lambda t: text(t, "\t"),
    "upright strokes": lambda t: text(t, "|"), "strokes and blanks": lambda t: text(t, " | "),
    "quotes": lambda t: text(quoted(t)), "blanks": lambda t: text(t, " , "), "empty lines": lambda t: text(t, end="\n\n"),
    "quoted with CRLF": lambda t: text(quoted(t), end="\r\n"),
    "a name with a comma and quotes": lambda t: text(quoted([['x, the "first"', *t[0][1:]], *t[1:]])),
    "a name of two lines": lambda t: text(quoted([["x\nx", *t[0][1:]], *t[1:]])),
    "two features of one name": lambda t: text([["x", "x", "k", "y"], *t[1:]]),
    "a header that counts": lambda t: text([["0", "1", "2", "y"], *t[1:]]),
    "a header of numbers": lambda t: text([["2019", "2020", "2021", "y"], *t[1:]]),
    "a line that names the separator": lambda t: "sep=;\n" + text(t, ";"),
    "exponents": lambda t: text([t[0]] + [[f"{float(line[0]) * 1e6:.0f}e-6", *line[1:]] for line in t[1:]]),
}


@pytest.fixture(scope="module")
def plain():
    return {}


@pytest.mark.parametrize("name", SPELLINGS)
def test_the_same_table_in_another_spelling(estimate, plain, name):
    if not plain:
        plain["said"] = said(estimate(text(table())))
    assert said(estimate(SPELLINGS[name](table()))) == plain["said"], name


def test_without_a_header_columns_have_numbers(estimate):
    assert said(estimate(text(table()[1:]), labels="3")) == said(estimate(text(table()), labels="3"))


NOTHING = [  # columns that tell nothing change little
    ("constant", lambda r: [1] * ROWS), ("missing", lambda r: [""] * ROWS), ("NA", lambda r: ["NA"] * ROWS),
    ("huge", lambda r: r.normal(size=ROWS) * 1e300), ("tiny", lambda r: r.normal(size=ROWS) * 1e-300),
    ("truth", lambda r: r.choice(["TRUE", "FALSE"], ROWS)), ("codes", lambda r: r.integers(0, 6, ROWS)),
    ("Unicode", lambda r: r.choice(["\u65e5\u672c", "\u00e9t\u00e9", "\U0001f375"], ROWS))]


@pytest.mark.parametrize("name, values", NOTHING, ids=[name for name, _ in NOTHING])
def test_a_column_that_tells_nothing(estimate, name, values):
    (value, _, samples), (plain, _, _) = (
        said(estimate(text(t))) for t in (with_column(table(), name, values(numpy.random.default_rng(4))), table()))
    assert samples == ROWS and abs(value["estimate"] - plain["estimate"]) < 0.1
    assert value["lower_limit"] < value["estimate"]


def cell(row, column, value):
    def change(lines):
        return text([list(line) if i != row else line[:column] + [value] + line[column + 1:] for i, line in enumerate(lines)])
    return change


def column(lines, value):
    return with_column(lines, "t", [value(i) for i in range(1, ROWS + 1)])


BAD = [
    (cell(7, 0, "hello"), 'line 8, column "x": "hello"'), (cell(7, 0, '"1,234.5"'), 'line 8, column "x": "1,234.5"'),
    (cell(9, 1, "0x1F"), 'line 10, column "z": "0x1F"'), (cell(9, 1, "inf"), 'line 10, column "z": "inf"'),
    (cell(5, 3, ""), "line 6 has no label"), (cell(120, 3, "NA"), "line 121 has no label"),
    (lambda t: text([line + ["1"] if i == 30 else line for i, line in enumerate(t)]), "line 31 has 5 columns, the first one 4"),
    (lambda t: text([[c.replace(".", ",") for c in line] for line in t], ";"), "is not a number as it is written"),
    (lambda t: text([["x", "y", "k", "y"], *t[1:]]), 'two columns or more are called "y"'),
    (lambda t: text(with_column(t, "t", [f"2024-01-{i % 28 + 1:02d}" for i in range(ROWS)])), "is a date or a time"),
    (lambda t: text(with_column(t, "id", [f"person {i}" for i in range(ROWS)])), "a name rather than a category"),
    (lambda t: text(t) + '"', "quotation mark"), (lambda t: text(t).encode("utf-16"), "not text"),
    (lambda t: text(t).replace("yes", "no"), "1 different"), (lambda t: text([[line[3]] for line in t]), "no column is left"),
    (lambda t: b"PAR1" + bytes(60) + b"PAR1", "pyarrow"), (lambda t: b"PK\x03\x04" + bytes(60), "spreadsheet"),
    (lambda t: b"\x1f\x8b\x08" + bytes(60), "gunzip"), (cell(7, 0, '"' + "q" * 2000000 + '"'), 'line 8, column "x"'),
    (cell(7, 2, "inf"), 'line 8, column "k": "inf" is not a number, though most'), (cell(7, 2, "1e400"), '"1e400" is not a number'),
    (cell(7, 2, "-"), "leave its cell empty"), (cell(7, 2, "9" * 100000), "is not a number, though most"),
    (cell(7, 0, "\u00a01.5"), "without commas, blanks"), (cell(7, 0, "1_0"), '"1_0" is not a number'),
    (lambda t: text([[f"{c}%" if j == 2 and i else c for j, c in enumerate(line)] for i, line in enumerate(t)]), "%"),
    (lambda t: text([[f"\u20ac {c}" if j == 2 and i else c for j, c in enumerate(line)] for i, line in enumerate(t)]), "a currency"),
    (lambda t: text([[f"1 {c}00" if j == 2 and i else c for j, c in enumerate(line)] for i, line in enumerate(t)]), "blanks"),
    (lambda t: text(column(t, lambda i: f"{i * i / 10:,.0f}".replace(",", "."))), "has three digits behind its point"),
    (lambda t: text(column(t, lambda i: f"{i * 54321:,}".replace(",", "."))), "is not a number as it is written"),
    (lambda t: text(column(t, lambda i: f"{i * 54.321:,.2f}".translate(str.maketrans(",.", ".,"))), ";"), "a plain minus"),
    (lambda t: text(column(t, lambda i: f"{i / 7:.2f} EUR")), "write it without its unit"),
    (lambda t: text(column(t, lambda i: f"\u2212{i / 7:.2f}")), "a plain minus"),
    (lambda t: text(column(t, lambda i: f"{i % 28 + 1}-Jan-2024")), "is a date or a time"),
    (lambda t: text(column(t, lambda i: f"september {i % 28 + 1}, 2024"), ";"), "is a date or a time"),
    (lambda t: text(with_column(t, "", [f"person {i}" for i in range(ROWS)])), "--drop 0 "),
    (lambda t: text(t[:1]), "nothing in it below the names of its columns"),
    (lambda t: text(t[:1])[:-1], "nothing in it below the names of its columns"),
    (lambda t: text(t).replace("k,y", "k,w"), 'no column "y"; its columns are x, z, k, w')]


@pytest.mark.parametrize("change, sentence", BAD, ids=[str(i) for i in range(len(BAD))])
def test_what_cannot_be_read_is_told(estimate, change, sentence):
    done = estimate(change(table()))
    assert done.code == 1 and sentence in done.err and len(done.err) < 700 and "Traceback" not in done.err, done.err


def test_a_category_of_numbers_and_texts_stays_one(estimate):
    t = [[c if j != 2 or i == 0 or i % 9 else "3+" for j, c in enumerate(line)] for i, line in enumerate(table())]
    assert said(estimate(text(t)))[2] == ROWS


@pytest.mark.parametrize("far", ["1e308", "-1.7e308", "1e39"])
def test_a_number_that_float32_has_not_is_far_away(estimate, far):
    said(estimate(cell(7, 0, far)(table())))


def test_arrays_of_every_type_say_the_same(infomask, tmp_path):
    lines = table()[1:]
    x, y = numpy.array([[round(4 * float(line[0])) % 100, int(line[2])] for line in lines]), [line[3] for line in lines]
    numpy.save(tmp_path / "y.npy", numpy.array(y))

    def run(array, name="x.npy"):
        numpy.save(tmp_path / name, array)
        return infomask("estimate", "--data", name, "--labels", "y.npy", *SETTINGS, "--json")
    plain = said(run(x.astype(float)))
    for kind in ("<f4", "<f2", "u1", "i2", "<i4", "<i8", "<u8", ">f8", ">f4", ">f2", ">i2", ">i4", ">u8"):
        assert said(run(x.astype(kind))) == said(run(numpy.asfortranarray(x.astype(kind)))) == plain, kind
    for kind in (complex, numpy.longdouble, "M8[s]", "S4"):
        assert "not a real number of at most 8 bytes" in run(x.astype(kind)).err
    x = x.astype(">f2")
    x[3, 1] = numpy.nan
    assert run(x).json["table"]["missing"] == 1
    x[3, 1] = -numpy.inf
    assert "row 3, column 1 is infinite" in run(x).err
    numpy.savez(tmp_path / "none.npz")
    numpy.savez_compressed(tmp_path / "two.npz", x, y)
    for name in ("none.npz", "two.npz"):
        assert "an archive of arrays; np.save" in infomask("estimate", "--data", name, "--labels", "y.npy").err


def test_which_of_two_is_dropped_nobody_knows(estimate):
    lines = [["x", "x", "k", "y"], *table()[1:]]
    done = estimate(text(lines), "--drop", "x")
    assert done.code == 1 and 'two columns or more are called "x"' in done.err
    assert estimate(text(lines), "--drop", "1").json["table"]["columns"] == 2


WEIGHTS = [([1] * 5 + [-1] + [1] * 114, "line 7: -1 is negative"), ([0] * ROWS, "all of them are 0"),
           ([1] * 9 + ["NA"] + [1] * 110, "line 11")]


@pytest.mark.parametrize("weights, sentence", WEIGHTS, ids=["negative", "nothing", "missing"])
def test_weights_that_are_none(estimate, weights, sentence):
    done = estimate(text(with_column(table(), "w", weights)), "--weights", "w")
    assert done.code == 1 and sentence in done.err, done.err


def test_rows_of_weight_nothing_are_not_there(estimate):
    half = with_column(table(), "w", [i % 2 for i in range(ROWS)])
    value, _, _ = said(estimate(text(half), "--weights", "w"))
    assert value["limit_samples"] == value["units"] == ROWS // 2 and value["lower_limit"] <= value["estimate"] < 0.7


@pytest.mark.parametrize("classes", [40, ROWS])
def test_classes_of_few_rows_or_one(estimate, classes):
    lines = table()
    done = estimate(text([lines[0]] + [line[:3] + [f"c{i % classes}"] for i, line in enumerate(lines[1:])]))
    assert done.code == 0 and done.json["mutual_information"]["lower_limit"] <= 0, done.err


@pytest.mark.parametrize("seed", range(12))
def test_labels_that_nothing_tells_of_have_no_limit_above_0(estimate, seed):
    r = numpy.random.default_rng(100 + seed)
    kinds = [r.normal(size=ROWS), r.integers(0, 3, ROWS), r.standard_cauchy(ROWS), r.choice(["a", "b", ""], ROWS),
             numpy.exp(3 * r.normal(size=ROWS))]
    made = [[f"c{j}" for j in range(5)] + ["y"]] + [[str(kind[i]) for kind in kinds] + [str(r.integers(0, 2 + seed % 4))]
                                                    for i in range(ROWS)]
    assert said(estimate(text(made)))[0]["lower_limit"] <= 0


@pytest.mark.parametrize("encode, sentences", [
    (lambda t: text([["\u00e4", *t[0][1:]], *t[1:]]).encode("latin-1"), ["line 1: the byte 0xE4", "iconv -f CP1252"]),
    (lambda t: text([*t[:5], ["1", "2", "3", "n\u2019t"], *t[5:]]).encode("cp1252"), ["line 6: the byte 0x92"]),
    (lambda t: text(t).encode("utf-16"), ["UTF-16", "iconv -f UTF-16"]),
    (lambda t: b"\xfe\xff" + text(t).encode("utf-16-be"), ["iconv -f UTF-16"]),
    (lambda t: text(t).encode("utf-16-le"), ["iconv -f UTF-16"]), (lambda t: text(t).encode("utf-16-be"), ["UTF-16"]),
    (lambda t: text(t).encode("utf-32"), ["iconv -f UTF-32"]), (lambda t: b"\x93NUMPY\1\0", ["end in .npy"]),
    (lambda t: b"\xd0\xcf\x11\xe0" + bytes(99), ["spreadsheet"]), (lambda t: b'{"x": 1}\n', ["JSON", "lines=True"]),
    (lambda t: b'[{"x": 1}]', ["JSON"]), (lambda t: b"\x80\x05\x95" + bytes(9), ["pickle"]),
    (lambda t: "<!DOCTYPE html>\n<p>Not found", ["web page"])])
def test_other_encodings_are_refused(estimate, encode, sentences):
    done = estimate(encode(table()))
    assert done.code == 1 and all(sentence in done.err for sentence in sentences), done.err


def test_what_is_a_header(estimate, plain):
    """By what the first line's cells are, and whether they come again below."""
    lines = table()
    codes = [[f"a{i % 3}", f"b{i % 4}", line[3]] for i, line in enumerate(lines[1:])]
    assert said(estimate(text(codes), labels="2"))[2] == ROWS                      # categories only, no header
    assert said(estimate(text([["a", "b", "y"], *codes])))[2] == ROWS
    assert said(estimate(text([["a0", "b0", "yes"], *codes]), labels="yes"))[2] == ROWS  # a header, since it is asked for
    assert said(estimate(text(lines[1:]), labels="3"))[2] == ROWS                  # numbers, no header
    assert said(estimate(text([["0", "1", "2", "y"], *lines[1:]]), labels="3"))[2] == ROWS
    zeros = [["0", "1", line[3]] if i % 3 == 0 else ["1", "0", line[3]] for i, line in enumerate(lines[1:])]
    assert said(estimate(text(zeros), labels="2"))[2] == ROWS                      # these count nothing


def test_a_column_that_numbers_the_rows(estimate):
    """An index that was saved with the table, sorted or shuffled, is told of; other whole numbers are not."""
    lines = table()
    rows = sorted(lines[1:], key=lambda line: line[3])
    shuffled = numpy.random.default_rng(2).permutation(ROWS)
    for name, numbers, order in (("", range(ROWS), range(ROWS)), ("id", range(1, ROWS + 1), shuffled)):
        whole = with_column([lines[0], *rows], name, numbers)
        warnings = estimate(text([whole[0], *(whole[1 + i] for i in order)])).json["warnings"]
        assert any(f'the column "{name or 0}" numbers the rows' in w for w in warnings), warnings
        dropped = estimate(text(whole), "--drop", name or "0").json
        assert dropped["table"]["columns"] == 3 and not any("numbers the rows" in w for w in dropped["warnings"])
    for values in ([2 * i for i in range(ROWS)], [i // 2 for i in range(ROWS)], [i + 0.5 for i in range(ROWS)],
                   [*range(ROWS - 1), ""]):
        warnings = estimate(text(with_column(lines, "t", values))).json["warnings"]
        assert not any("numbers the rows" in w for w in warnings), warnings


def test_an_array_whose_column_numbers_the_rows(infomask, tmp_path):
    r = numpy.random.default_rng(5)
    y = numpy.sort(r.integers(0, 2, ROWS))
    x = numpy.stack([r.normal(size=ROWS), numpy.arange(ROWS), r.normal(size=ROWS)], 1)
    numpy.save(tmp_path / "y.npy", y)
    for array, told in ((x, True), (x[:, [0, 2]], False)):
        numpy.save(tmp_path / "x.npy", array)
        warnings = infomask("estimate", "--data", "x.npy", "--labels", "y.npy", *SETTINGS, "--json").json["warnings"]
        assert any('the column "1" numbers the rows' in w for w in warnings) == told, warnings


def test_a_column_that_is_the_label(estimate):
    """The label in other words, as texts or as numbers, is told of; a column with one row that differs is not."""
    lines = table()
    labels = [line[3] for line in lines[1:]]
    for words in ({c: f"kind {c}" for c in labels}, {c: 7 - i for i, c in enumerate(sorted(set(labels)))}):
        copy = [words[c] for c in labels]
        warnings = estimate(text(with_column(lines, "copy", copy))).json["warnings"]
        assert any('the column "copy" is the label in other words' in w for w in warnings), warnings
        copy[5] = next(w for w in words.values() if w != copy[5])
        warnings = estimate(text(with_column(lines, "copy", copy))).json["warnings"]
        assert not any("in other words" in w for w in warnings), warnings


def test_names_of_rows_as_r_writes_them(estimate):
    lines = table()
    failed = estimate(text([lines[0], *([f'"{i + 1}"', *line] for i, line in enumerate(lines[1:]))]))
    assert failed.code != 0 and "row.names = FALSE" in failed.err, failed.err


def test_days_in_eight_digits_are_told(estimate):
    """They are read as the numbers that they are, with a warning; eight digits that are no days, without one."""
    days = [20230100 + 100 * (i % 12) + i % 28 + 1 for i in range(ROWS)]
    for values, told in ((days, True), ([*days[:-1], ""], True), ([*days[:-1], 20231301], False), ([20240229] * ROWS, False)):
        warnings = estimate(text(with_column(table(), "t", values))).json["warnings"]
        assert any('the column "t" looks like days' in w for w in warnings) == told, warnings


def test_labels_that_differ_in_blanks_or_capitals_are_told(estimate):
    lines = table()
    for wrong, told in (("No", '"No" and "no"'), ('"no "', '"no " and "no"'), ("n o", '"n o" and "no"'), ("none", None)):
        changed = text([[*line[:3], wrong] if i % 6 == 1 and line[3] == "no" else line for i, line in enumerate(lines)])
        done = estimate(changed)
        found = [w for w in done.json["warnings"] if "differ in blanks or capitals" in w]
        assert len(found) == (told is not None), done.json["warnings"]
        names = set() if told is None else set(told.split(" and "))
        assert all(name in found[0] for name in names) and len(done.json["classes"]) == 3


def test_names_of_nineteen_digits_are_not_rounded(estimate, infomask, tmp_path):
    """Beyond 2^53 neighbours are one double: as texts they are told apart, as numbers of an array refused."""
    big, lines = 2**60, table()
    changed = [lines[0], *([*line[:3], str(big + (line[3] == "no"))] for line in lines[1:])]
    assert said(estimate(text(changed))) == said(estimate(text(lines).replace("yes", "a").replace("no", "b")))
    numpy.save(tmp_path / "x.npy", numpy.array([[float(c) for c in line[:3]] for line in lines[1:]]))
    y = numpy.array([int(line[3]) for line in changed[1:]])
    numpy.save(tmp_path / "y.npy", y)
    done = infomask("estimate", "--data", "x.npy", "--labels", "y.npy", *SETTINGS, "--json")
    assert done.code == 1 and "beyond 2^53" in done.err and "astype(str)" in done.err
    numpy.save(tmp_path / "y.npy", y.astype(str))
    done = infomask("estimate", "--data", "x.npy", "--labels", "y.npy", *SETTINGS, "--json")
    assert [c["label"] for c in done.json["classes"]] == [str(big), str(big + 1)]
