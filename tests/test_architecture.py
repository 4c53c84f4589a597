"""The arrows between folders point one way."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# folder -> folders it may import
MAY_IMPORT: dict[str, set[str]] = {
    "domains": set(),
    "serving": set(),
    "rag": {"serving"},
    "agents": {"domains", "serving", "rag"},
    "finetune": {"domains", "serving"},
    "ros_nodes": {"agents", "domains"},
    "ui": {"agents", "domains", "finetune", "rag", "ros_nodes", "serving"},
}


def imported_modules(source: str) -> set[str]:
    """Dotted modules that a file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def imported_folders(source: str) -> set[str]:
    """Our folders among the imports: "import sdx_rag.index" gives {"rag"}."""
    return {name.split(".")[0].removeprefix("sdx_") for name in imported_modules(source) if name.startswith("sdx_")}


def test_every_folder_has_its_row() -> None:
    assert {path.parent.name for path in ROOT.glob("*/sdx_*")} == set(MAY_IMPORT)


def test_arrows_point_one_way() -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {other}"
        for folder, allowed in MAY_IMPORT.items()
        for path in (ROOT / folder).rglob("*.py")
        for other in imported_folders(path.read_text(encoding="utf-8")) - allowed - {folder}
    ]
    assert not wrong, "\n".join(wrong)


def test_no_domain_imports_another() -> None:
    domains = [path for path in (ROOT / "domains/sdx_domains").iterdir() if path.is_dir()]
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for domain in domains
        for path in domain.rglob("*.py")
        for name in imported_modules(path.read_text(encoding="utf-8"))
        for other in domains
        if other != domain and name.startswith(f"sdx_domains.{other.name}")
    ]
    assert not wrong, "\n".join(wrong)


def test_no_loose_modules_in_root_folders() -> None:
    loose = [p for folder in MAY_IMPORT for p in (ROOT / folder).glob("*.py") if p != ROOT / "ros_nodes/setup.py"]
    assert not loose
