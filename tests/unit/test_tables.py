"""The script that puts proofs into the package tells those of another source."""

from scripts.tables import stale_proofs

HERE, OTHER = {"torch": "2.13.0", "python": "3.11"}, {"torch": "2.13.0", "python": "3.12"}


def test_a_proof_of_another_source_is_stale():
    shipped = {"old": {"software": HERE}, "kept": {"software": HERE}}
    assert stale_proofs({"new": {"software": HERE}, "kept": {"software": HERE}}, shipped) == 1


def test_other_versions_are_not():
    assert stale_proofs({"new": {"software": OTHER}}, {"old": {"software": HERE}}) == 0
    assert stale_proofs({"new": {"software": HERE}}, {}) == 0
