"""`bench env`: one environment a framework, made, shown, removed."""

import sys
from dataclasses import replace
from typing import Annotated

import typer

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="""Make, show and remove environments, one a framework.

    GPU builds of PyTorch and TensorFlow break each other in one environment. bench run takes the
    environment of a framework wherever there is one; --python FRAMEWORK=PATH names another Python.
    On a CPU one environment for all is enough, so that none has to be made here.
    """,
)

Frameworks = Annotated[str, typer.Argument(help="torch, tf, jax, several with commas, or all.", metavar="FRAMEWORK")]


@app.command()
def create(
    framework: Frameworks,
    accelerator: Annotated[str, typer.Option(help="cpu, cuda12, cuda13, rocm or tpu.")] = "cpu",
    installer: Annotated[str, typer.Option(help="auto, uv or pip; auto is uv where there is one.")] = "auto",
    python: Annotated[str, typer.Option(help="The Python to make it with.  [default: the one that runs this]")] = "",
    index: Annotated[str | None, typer.Option(help="Address of a package index to look at besides PyPI.")] = None,
) -> None:
    """Make an environment for each framework, with locked versions; all leaves out what the accelerator cannot run.

    Example: bench env create torch --accelerator cuda13
    """
    from bench import environments, install, manifests, show
    from bench.spec import one

    one(accelerator, environments.ACCELERATORS, "accelerator")
    one(installer, install.INSTALLERS, "installer")
    found = manifests.known()
    asked = [found[name] for name in wanted(framework)]
    if framework == "all":
        asked = [manifest for manifest in asked if accelerator in manifest.environments]
    for manifest in asked:
        install.check(manifest, accelerator, installer, index)  # before any is made
    failed = False
    for manifest in asked:
        try:
            made = install.create(
                manifest, accelerator, installer=installer, python=python or sys.executable, index=index
            )
            show.note(f"{made.name} is ready: {made.folder}")
        except install.Incomplete as error:
            show.note(f"no environment of {manifest.name}: {error}. Nothing of it was kept")
            failed = True
    raise typer.Exit(1 if failed else 0)


@app.command("list")
def list_() -> None:
    """Show the environments that there are."""
    from bench import environments, manifests, show
    from bench.units import scaled

    lines: list[tuple[str, ...]] = []
    for name, manifest in manifests.known().items():
        if found := environments.find(name):
            own = replace(manifest, interpreter=found.interpreter)
            versions = {"python": own.interpreter.python} | own.versions() if found.complete else {}
            told = ", ".join(f"{package} {version}" for package, version in versions.items()) or "incomplete"
            size = scaled(environments.size_bytes(found.folder), "B")
            lines.append((name, found.accelerator, found.installer, told, size, str(found.folder)))
    show.rows(("impl", "accelerator", "installed by", "holds", "size", "folder"), lines)


@app.command()
def remove(framework: Frameworks) -> None:
    """Remove environments that bench env made; no other folder is touched."""
    from bench import environments, install, show

    for name in wanted(framework):
        if framework != "all" or environments.find(name):
            gone = install.remove(name)
            show.note(f"{gone.name} is removed: {gone.folder}")


def wanted(framework: str) -> list[str]:
    """Names of the frameworks that were asked for."""
    from bench import manifests, plan

    return plan.names([part.strip() for part in framework.split(",") if part.strip()], manifests.known(), "framework")
