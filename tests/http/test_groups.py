"""Groups of classes over HTTP: the list, the codes, the headers, protocol v2."""
import pytest

from conftest import ROOT

CHELSEA = (ROOT / "tests/data/photos/chelsea.png").read_bytes()


def test_the_list(server):
    answer = server.ask("GET", "/v1/models/digits/groups")
    assert answer.status == 200 and answer.json["model"]["name"] == "digits" and answer.get("ETag")
    even, odd = answer.json["groups"]
    assert even["name"] == "even" and even["members"] == [0, 2, 4, 6, 8] and even["size"] == 5
    assert odd["aliases"] == ["odd digit", "odd number"] and abs(even["prior"] + odd["prior"] - 1) < 1e-9
    many = server.ask("GET", "/v1/models/efficientnet-lite0/groups").json["groups"]
    dog = next(g for g in many if g["name"] == "dog")
    assert dog["size"] == 118 == len(dog["members"]) and abs(dog["prior"] - .118) < 1e-9
    assert server.ask("GET", "/v1/models/none/groups").json["code"] == "no_such_model"


@pytest.mark.parametrize("target, status, code", [
    ("group:unicorn", 404, "no_such_group"), ("unicorn", 404, "no_such_class"), ("label:dog", 404, "no_such_class")])
def test_the_codes(server, target, status, code):
    answer = server.ask("POST", f"/v1/classify?target={target}", CHELSEA)
    assert (answer.status, answer.json["code"]) == (status, code)


def test_the_headers(server):
    for path in ("/v1/mask?format=png&quality=fast&target=Domestic_Cat", "/v1/filter?quality=fast&fill=mean&target=domestic%20cat"):
        answer = server.ask("POST", path, CHELSEA)
        assert answer.status == 200 and answer.get("Infomask-Label") == "domestic%20cat"
        assert answer.get("Infomask-Group-Size") == "5" and answer.get("Infomask-Target") is None
    assert answer.get("Infomask-Verdict") in ("removed", "weakened", "failed")


def test_classify_takes_groups(server):
    answer = server.ask("POST", "/v1/classify?target=dog&groups=true&units=bits&top_k=1", CHELSEA).json
    assert answer["target"]["group"] == answer["target"]["label"] == "dog" and answer["target"]["size"] == 118
    assert answer["predictions"][0]["groups"][0] == "domestic cat" and answer["surely"]["group"] == "domestic cat"
    assert "surely" not in server.ask("POST", "/v1/classify", CHELSEA).json


def test_analyze_says_of_groups_and_abstains_as_asked(server):
    plain, asked = (server.ask("POST", f"/v1/analyze?quality=fast{more}", CHELSEA).json for more in ("", "&groups=true"))
    assert "groups" not in plain["predictions"][0] and "surely" not in plain and plain["abstain"] is False
    assert asked["predictions"][0]["groups"] and asked["surely"]
    for least, abstain in ((1000, True), (0.5, False)):
        for route in ("classify", "analyze"):
            answer = server.ask("POST", f"/v1/{route}?abstain_below={least}{'&quality=fast' * (route == 'analyze')}", CHELSEA).json
            assert answer["abstain"] is abstain


def test_analyze_and_several_targets(server):
    answer = server.ask("POST", "/v1/analyze?target=cat&quality=fast&groups=true", CHELSEA).json
    assert answer["target"]["group"] == "cat" and answer["surely"]
    both = server.ask("POST", "/v1/filter?target=cat&target=dog&quality=fast&format=json&fill=mean", CHELSEA).json
    assert [row.get("group") for row in both["verification"]] == ["cat", "dog"] and len(both["targets"]) == 2
