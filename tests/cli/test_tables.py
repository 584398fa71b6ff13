"""infomask estimate --data: tables as people have them.  Holes, categories, groups, weights, and what is refused."""
import math

import numpy
import pytest


@pytest.fixture
def estimate(infomask, tmp_path):
    def run(*arguments, code=0):
        done = infomask("estimate", "--folds", "3", *arguments, "--json", env={"STATE_DIRECTORY": str(tmp_path / "state")})
        assert done.code == code, done.err
        return done.json if code == 0 else done.err

    return run


def write(path, header, rows):
    path.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n")


def value(report):
    return report["mutual_information"]["estimate"]


WORDS = ["", "NA", "NaN", "nan", "N/A", "NULL", "None", "<NA>", "?"]


def test_missing_numbers(estimate, tmp_path):
    """Where a number is missing at random it costs what it said; where it is missing more for one class, that tells."""
    rng = numpy.random.default_rng(1)
    y = rng.integers(0, 2, 300)
    x = y + 0.5 * rng.normal(size=300)
    random, telling = rng.random(300) < 0.3, rng.random(300) < numpy.where(y == 1, 0.6, 0.05)
    for name, gone in ("whole", random & False), ("random", random), ("telling", telling):
        cells = [WORDS[i % len(WORDS)] if gone[i] else f"{x[i]:.5f}" for i in range(300)]
        write(tmp_path / f"{name}.csv", "x,y", zip(cells, y))
        hole = numpy.where(gone, numpy.nan, x.round(5))
        numpy.save(tmp_path / f"{name}.npy", hole[:, None])
    numpy.save(tmp_path / "y.npy", y)
    reports = {name: estimate("--data", f"{name}.csv", "--labels", "y") for name in ("whole", "random", "telling")}
    assert reports["random"]["table"]["missing"] == random.sum() and reports["whole"]["table"]["missing"] == 0
    assert value(reports["random"]) == pytest.approx(0.7 * value(reports["whole"]), abs=0.08)
    assert value(reports["telling"]) > value(reports["random"]) + 0.02
    again = estimate("--data", "telling.npy", "--labels", "y.npy")
    assert again["mutual_information"] == reports["telling"]["mutual_information"]
    trees = [part["estimate"] for part in reports["telling"]["table"]["parts"] if part["name"] == "trees"][0]
    assert trees > 0.8 * value(reports["telling"])


def test_categories_by_name(estimate, tmp_path):
    """300 names of which some come once, so that a fold has never seen them; the names' spelling says nothing."""
    rng = numpy.random.default_rng(2)
    code = numpy.minimum(rng.geometric(0.02, 900) - 1, 299)
    p = rng.random(300) < 0.5
    y = p[code] ^ (rng.random(900) < 0.1)
    words = [f"town {chr(97 + c % 26)}{c * 7919 % 1000}" for c in range(300)]
    write(tmp_path / "a.csv", "town,y", [(words[c], int(label)) for c, label in zip(code, y)])
    write(tmp_path / "b.csv", "town,y", [(words[c][::-1].upper(), int(label)) for c, label in zip(code, y)])
    a, b = (estimate("--data", name, "--labels", "y") for name in ("a.csv", "b.csv"))
    truth = math.log(2) + 0.1 * math.log(0.1) + 0.9 * math.log(0.9)
    assert 0.5 * truth < value(a) < truth + 0.05 and a["table"]["columns"] == 1
    assert value(b) == pytest.approx(value(a), abs=0.03)
    # text among which something is missing: that is a category of its own
    write(tmp_path / "c.csv", "c,y", [("NA" if i % 2 else "red" if i % 4 else "blue", i % 2) for i in range(200)])
    assert value(estimate("--data", "c.csv", "--labels", "y")) > 0.6


def test_columns_are_dropped(estimate, tmp_path):
    rng = numpy.random.default_rng(3)
    y = rng.integers(0, 2, 200)
    rows = [(f"{a:.4f}", label, f"2024-01-{1 + i % 28:02d}", f"id{i}") for i, (a, label) in
            enumerate(zip(rng.normal(size=200), y))]
    write(tmp_path / "t.csv", 'x,"twin, of y",when,id', rows)
    write(tmp_path / "t.csv", 'x,"y, twin",when,id,y', [(*row, row[1]) for row in rows])
    assert value(estimate("--data", "t.csv", "--labels", "y", "--drop", "when,id")) > 0.6
    assert value(estimate("--data", "t.csv", "--labels", "y", "--drop", "1,when,3")) < 0.05
    (tmp_path / "u.csv").write_text((tmp_path / "t.csv").read_text().replace("when,id", "a,b").replace('2024-01-', ''))
    assert "b" in estimate("--data", "u.csv", "--labels", "y", "--drop", "y, twin", code=1)  # a name with a comma in it
    message = estimate("--data", "t.csv", "--labels", "y", "--drop", "when,no", code=1)
    assert 'no column "no"' in message and "x, y, twin, when, id, y" in message
    x = numpy.stack([y, rng.normal(size=200)], 1)
    numpy.save(tmp_path / "x.npy", numpy.asfortranarray(x))  # as pandas hands it out
    numpy.save(tmp_path / "y.npy", y)
    assert value(estimate("--data", "x.npy", "--labels", "y.npy")) > 0.6
    assert value(estimate("--data", "x.npy", "--labels", "y.npy", "--drop", "0")) < 0.05
    assert "0 to 1" in estimate("--data", "x.npy", "--labels", "y.npy", "--drop", "2", code=1)
    assert "no column is left" in estimate("--data", "x.npy", "--labels", "y.npy", "--drop", "0,1", code=1)


def test_every_column_has_a_row(infomask, estimate, tmp_path):
    """A copy of a column tells as much alone, and nothing is lost without it; noise tells nothing; a constant has no row."""
    rng = numpy.random.default_rng(8)
    y = rng.integers(0, 2, 600)
    a, noise = y + 0.7 * rng.normal(size=600), rng.normal(size=600)
    sex = numpy.where(rng.random(600) < 0.8, y, 1 - y)
    write(tmp_path / "t.csv", "a,twin,sex,noise,same,y", [(u, 3 * u - 1, "mf"[s], v, 4, label) for u, s, v, label in zip(a, sex, noise, y)])
    report = estimate("--data", "t.csv", "--labels", "y")
    rows = {row["column"]: row for row in report["table"]["by_column"]}
    assert list(rows) == ["a", "twin", "sex", "noise"]
    assert rows["a"]["alone"] == pytest.approx(rows["twin"]["alone"], abs=0.03) and rows["a"]["alone_lower_limit"] > 0.1
    assert rows["noise"]["alone"] < 0.02 and rows["noise"]["alone_lower_limit"] <= 0
    without = estimate("--data", "t.csv", "--labels", "y", "--drop", "sex", "--columns", 0)
    assert "by_column" not in without["table"]
    assert rows["sex"]["lost"] == pytest.approx(value(report) - value(without), abs=0.06)
    assert rows["sex"]["lost_interval"][0] > 0 > rows["noise"]["lost_interval"][0] - 0.02
    assert abs(rows["noise"]["lost"]) < 0.03 and rows["a"]["lost"] < 0.6 * rows["a"]["alone"]
    one = estimate("--data", "t.csv", "--labels", "y", "--columns", 1)["table"]["by_column"]
    assert sum(row["lost"] is not None for row in one) == 1
    text = infomask("estimate", "--folds", 3, "--data", "t.csv", "--labels", "y").out
    assert "lost without it" in text and "  sex " in text


def test_subgroups(infomask, estimate, tmp_path):
    """One half of the rows tells the label, the other one nothing; mean of the terms over the subgroups is the whole."""
    rng = numpy.random.default_rng(9)
    y, site = rng.integers(0, 2, 500), rng.integers(0, 2, 500)
    x = rng.normal(size=500) + numpy.where(site == 1, 3 * y, 0)
    write(tmp_path / "t.csv", "x,site,y", [(a, f"site {b}", c) for a, b, c in zip(x, site, y)])
    report = estimate("--data", "t.csv", "--labels", "y", "--by", "site")
    nothing, much = report["subgroups"]
    assert [nothing["name"], much["name"]] == ["site 0", "site 1"] and nothing["samples"] == (site == 0).sum()
    assert nothing["lower_limit"] <= 0 and abs(nothing["estimate"]) < 0.05
    assert 0.1 < much["lower_limit"] < much["estimate"] < much["label_entropy"] <= math.log(2) + 1e-9
    loss = sum(s["samples"] * (s["estimate"] - s["label_entropy"]) for s in (nothing, much)) / 500
    assert loss == pytest.approx(value(report) - report["label_entropy"], abs=1e-6)
    assert report["table"]["columns"] == 2
    text = infomask("estimate", "--folds", 3, "--data", "t.csv", "--labels", "y", "--by", "site").out
    assert "within" in text and "site 1" in text
    assert infomask("estimate", "--images", ".", "--by", "site").code == 2
    assert 'no column "place"' in estimate("--data", "t.csv", "--labels", "y", "--by", "place", code=1)


@pytest.mark.parametrize("more", [[], ["--group-by", "g"], ["--by", "g"], ["--logits-limit", "400"],
                                  ["--suspects", "120"]])
def test_with_and_without_a_store(estimate, tmp_path, more):
    """What nobody wants to keep is held in memory: the same answer, to the last bit."""
    rng = numpy.random.default_rng(21)
    y, g = rng.integers(0, 3, 240), rng.integers(0, 40, 240)
    write(tmp_path / "t.csv", "x,z,g,y", zip((y + rng.normal(size=240)).round(4), rng.normal(size=240).round(4), g, y))
    held, stored = (estimate("--data", "t.csv", "--labels", "y", *more, *where)
                    for where in ([], ["--store", tmp_path / "kept.db"]))
    for report in held, stored:
        assert len(report.pop("id")) == 24
    assert held == stored and held["samples"] == 240 and held["logits_kept"] == (66 if "400" in more else 240)
    assert not list((tmp_path / "state").glob("*"))


def subjects(rng, count, each):
    """Pure noise: a subject's rows are much alike, and its label has nothing to do with them."""
    x = numpy.repeat(rng.normal(size=(count, 3)), each, 0) + 1e-3 * rng.normal(size=(count * each, 3))
    return x.astype("float32"), numpy.repeat(rng.integers(0, 2, count), each), numpy.repeat(numpy.arange(count), each)


def test_rows_of_a_group_stay_together(estimate, tmp_path):
    x, y, group = subjects(numpy.random.default_rng(4), 60, 5)
    write(tmp_path / "t.csv", "a,b,c,subject,y", [(*map(float, row), f"s{g}", label) for row, g, label in zip(x, group, y)])
    fooled = estimate("--data", "t.csv", "--labels", "y", "--drop", "subject")["mutual_information"]
    assert fooled["lower_limit"] > 0  # which is why
    honest = estimate("--data", "t.csv", "--labels", "y", "--group-by", "subject")
    limit = honest["mutual_information"]
    assert limit["estimate"] < 0.1 and limit["lower_limit"] <= 0 and (limit["limit_samples"], limit["units"]) == (300, 60)
    assert honest["table"]["grouped"] and honest["table"]["columns"] == 3 and limit["lower_limit_t"] is None
    numpy.save(tmp_path / "x.npy", x)
    numpy.save(tmp_path / "y.npy", y)
    numpy.save(tmp_path / "groups.npy", numpy.array([f"s{g}" for g in group]))
    other = estimate("--data", "x.npy", "--labels", "y.npy", "--group-by", "groups.npy")
    assert other["mutual_information"]["units"] == 60 and other["mutual_information"]["lower_limit"] <= 0


def test_few_groups(estimate, tmp_path):
    """As many folds as groups, if those are few; with fewer than three nothing can be held out twice."""
    rng = numpy.random.default_rng(5)
    y = rng.integers(0, 2, 240)
    x = y + 0.7 * rng.normal(size=240)
    for groups in 4, 2, 1:
        write(tmp_path / f"{groups}.csv", "x,g,y", zip(x, numpy.arange(240) % groups, y))
    report = estimate("--data", "4.csv", "--labels", "y", "--group-by", "g", "--folds", "10")
    assert report["table"]["folds"] == 4 and report["mutual_information"]["units"] == 4 and value(report) > 0.2
    assert "at least 3" in estimate("--data", "2.csv", "--labels", "y", "--group-by", "g", code=1)
    assert "all rows are of one group" in estimate("--data", "1.csv", "--labels", "y", "--group-by", "g", code=1)
    assert "is dropped" in estimate("--data", "4.csv", "--labels", "y", "--group-by", "y", code=1)
    assert "is dropped" in estimate("--data", "4.csv", "--labels", "y", "--group-by", "g", "--drop", "g", code=1)


def test_weights(estimate, tmp_path):
    """A weight of 3 says what three such rows would; here it makes up for a sampling that took every third of a class."""
    rng = numpy.random.default_rng(6)
    y = rng.integers(0, 2, 900)
    x = y + 0.8 * rng.normal(size=900)
    taken = (y == 0) | (rng.random(900) < 1 / 3)
    write(tmp_path / "whole.csv", "x,y", zip(x, y))
    write(tmp_path / "part.csv", "x,y,w", [(a, b, 3 if b else 1) for a, b in zip(x[taken], y[taken])])
    write(tmp_path / "ones.csv", "x,y,w", [(a, b, 2.5) for a, b in zip(x[:150], y[:150])])
    whole = estimate("--data", "whole.csv", "--labels", "y")
    part = estimate("--data", "part.csv", "--labels", "y", "--weights", "w")
    assert part["label_entropy"] == pytest.approx(math.log(2), abs=2e-3) and part["table"]["weighted"]
    assert value(part) == pytest.approx(value(whole), abs=0.05)
    assert part["mutual_information"]["lower_limit"] < value(part) and part["calibrated"]["temperature"] is None
    assert part["mutual_information"]["standard_error"] > whole["mutual_information"]["standard_error"]
    assert abs(value(estimate("--data", "part.csv", "--labels", "y", "--drop", "w")) - value(whole)) > 0.02
    ones = estimate("--data", "ones.csv", "--labels", "y", "--weights", "w")
    plain = estimate("--data", "ones.csv", "--labels", "y", "--drop", "w")
    for key in "estimate", "lower_limit", "standard_error":
        assert ones["mutual_information"][key] == pytest.approx(plain["mutual_information"][key], rel=3e-3)


def test_weights_that_are_none(infomask, estimate, tmp_path):
    rows = [[i % 7, i % 2, 1] for i in range(60)]
    for cell, sentence in ("-1", "line 7: -1 is negative"), ("nan", "line 7 has none"), ("", "line 7 has none"), (
            "inf", 'line 7: "inf" is not a finite number'), ("much", 'line 7: "much" is not a finite number'):
        rows[5][2] = cell
        write(tmp_path / "t.csv", "x,y,w", rows)
        assert sentence in estimate("--data", "t.csv", "--labels", "y", "--weights", "w", code=1)
    write(tmp_path / "t.csv", "x,y,w", [[i % 7, i % 2, 0] for i in range(60)])
    assert "all of them are 0" in estimate("--data", "t.csv", "--labels", "y", "--weights", "w", code=1)
    assert infomask("estimate", "--data", "t.csv", "--labels", "y", "--weights", "w", "--store", "s.db").code == 2
    assert infomask("estimate", "--task", "ref-bal-d2", "--weights", "w").code == 2
    assert infomask("estimate", "--images", ".", "--drop", "w").code == 2
    assert infomask("estimate", "--images", ".", "--group-by", "w").code == 2


def lines(cell, n=60):
    """A column c of numbers, but for one cell, in line 5 of the file."""
    return "c,y\n" + "".join(f"{cell if i == 3 else i / 3},{i % 2}\n" for i in range(n))


@pytest.mark.parametrize("text, sentences", [
    ("c,y\n" + "".join(f"2024-03-{1 + i % 28:02d}T10:00:00Z,{i % 2}\n" for i in range(60)), ["line 2", "is a date", "--drop c"]),
    ("c,y\n" + "".join(f"{1 + i % 28}.3.2024,{i % 2}\n" for i in range(60)), ["line 2", "is a date", "days since"]),
    ("c,y\n" + "".join(f"{i % 24}:{i % 60:02d},{i % 2}\n" for i in range(60)), ["line 2", "is a date or a time", "the hour"]),
    (lines("12 kg"), ['line 5, column "c": "12 kg" is not a number', "its columns are c, y", "--drop c"]),
    (lines("inf"), ['line 5, column "c": "inf" is not a number']),
    (lines('"1,5"'), ['line 5, column "c": "1,5"', "with a point"]),
    ("c;y\n" + "".join(f"{i},{i % 10};{i % 2}\n" for i in range(60)), ['line 2, column "c": "0,0"', "with a point"]),
    ("c,y\n" + "".join(f"t{i},{i % 2}\n" for i in range(60)), ["60 different texts", "a name rather than a category"]),
    ('c,y\n"two\nlines",1\n' + "".join(f"{i},{i % 2}\n" for i in range(60)), ['line 2, column "c"']),
    ('c,y\n"1\n",1\n' + "".join(f"{i},{i % 2 if i != 4 else ''}\n" for i in range(60)), ["line 8 has no label"]),
    ("c,y\n" + "".join(f"{i},{i / 7}\n" for i in range(60)), ["60 different numbers", "regression"]),
    ("c,y\n" + "".join(f"{i},{i * i}\n" for i in range(60)), ["60 different numbers", "regression"]),
], ids=lambda value: value[0] if isinstance(value, list) else "")
def test_what_is_refused_is_named(estimate, tmp_path, text, sentences):
    (tmp_path / "t.csv").write_text(text)
    message = estimate("--data", "t.csv", "--labels", "y", code=1)
    for sentence in sentences:
        assert sentence in message, message


@pytest.mark.parametrize("magic, sentence", [
    (b"PAR1", 'pyarrow.csv as c; c.write_csv(p.read_table("x.parquet"), "table.csv")'), (b"PK\x03\x04", "save it as CSV"),
    (b"\x1f\x8b\x08", "gunzip"), (b"ARROW1\0\0", "pyarrow"), (b"SQLite format 3\0", "sqlite3")])
def test_other_formats_are_named(estimate, tmp_path, magic, sentence):
    (tmp_path / "x.parquet").write_bytes(magic + bytes(range(256)))
    assert sentence in estimate("--data", "x.parquet", "--labels", "y", code=1)


def test_texts_in_arrays(estimate, tmp_path):
    rng = numpy.random.default_rng(7)
    y = rng.integers(0, 3, 90)
    names = ["Äpfel", "b", "große Birne"]
    numpy.save(tmp_path / "x.npy", y[:, None] + 0.3 * rng.normal(size=(90, 1)))
    numpy.save(tmp_path / "u.npy", numpy.array(names)[y])
    numpy.save(tmp_path / "s.npy", numpy.array(["a", "bb", "c"]).astype("S")[y])
    numpy.save(tmp_path / "y.npy", y.astype(float))
    numpy.save(tmp_path / "half.npy", y + 0.5 * rng.random(90))
    numpy.save(tmp_path / "hole.npy", numpy.where(y == 1, numpy.nan, y))
    numpy.save(tmp_path / "o.npy", numpy.array(names, dtype=object)[y], allow_pickle=True)
    reports = [estimate("--data", "x.npy", "--labels", f) for f in ("u.npy", "s.npy", "y.npy")]
    assert [row["label"] for row in reports[0]["classes"]] == sorted(names, key=str.encode)
    assert [row["label"] for row in reports[1]["classes"]] == ["a", "bb", "c"]
    assert reports[1]["mutual_information"] == reports[2]["mutual_information"]
    assert "regression" in estimate("--data", "x.npy", "--labels", "half.npy", code=1)
    assert "has no label" in estimate("--data", "x.npy", "--labels", "hole.npy", code=1)
    assert "Python objects" in estimate("--data", "x.npy", "--labels", "o.npy", code=1)
    numpy.save(tmp_path / "i.npy", numpy.where(y == 1, numpy.inf, y)[:, None])
    assert "is infinite" in estimate("--data", "i.npy", "--labels", "y.npy", code=1)
