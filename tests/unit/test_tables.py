"""The script that puts proofs into the package tells those of another source, and folds what it tables."""

from typing import Any

from scripts.tables import folded, stale_proofs

HERE, OTHER = {"torch": "2.13.0", "python": "3.11"}, {"torch": "2.13.0", "python": "3.12"}


def test_a_proof_of_another_source_is_stale():
    shipped = {"old": {"software": HERE}, "kept": {"software": HERE}}
    assert stale_proofs({"new": {"software": HERE}, "kept": {"software": HERE}}, shipped) == 1


def test_other_versions_are_not():
    assert stale_proofs({"new": {"software": OTHER}}, {"old": {"software": HERE}}) == 0
    assert stale_proofs({"new": {"software": HERE}}, {}) == 0


def row(devices: int, loss: float | None, equal: bool = True, **changed: Any) -> dict[str, Any]:
    names = ("workload", "size", "optimizer", "impl", "variant", "precision", "engine", "param", "slot")
    return {**dict.fromkeys(names), "devices": devices, "loss": loss, "equal": equal, **changed}


def test_numbers_of_devices_are_one_row_with_the_largest_difference():
    (found,) = folded([row(1, 1e-16), row(3, 5e-16), row(8, 2e-16)])
    assert (found["devices"], found["loss"], found["param"]) == ("1, 3, 8", 5e-16, None)


def test_what_differs_is_never_folded():
    found = folded([row(1, 1e-16), row(3, 1e-3, equal=False), row(8, 1e-3, equal=False), row(2, 1e-16, impl="jax")])
    assert [one["devices"] for one in found] == ["1", "3", "8", "2"]
