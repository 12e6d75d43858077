"""The layers: who may import whom, held by reading every module's imports without importing it."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("core", "db", "workers", "web", "scripts")
FILES = sorted(file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))
LIGHT = ("core.errors", "core.settings", "core.records", "core.clock", "core.log")
# How people's labels and a model's reject rule decide: needed in the transaction that stores outcomes.
DECIDING = ("core.faces.agreement", "core.faces.corrections", "core.faces.impostors", "core.faces.rule")
FRAMEWORKS = {"celery", "kombu", "sqlalchemy", "alembic", "psycopg", "redis", "starlette", "uvicorn", "click", "rich"}
FRAMEWORKS |= {"prometheus_client"}
TORCH = {"torch", "torchvision"}
# What each package may import of the others. `web` takes the queue's light half, and no task.
LAYERS = {
    "core": {"core"},
    "db": {"core", "db"},
    "workers": {"core", "db", "workers"},
    "web": {"core", "db", "web", "workers"},
    "scripts": set(PACKAGES),
}
WEB_MAY_RING = {"workers.doorbell"}


def module_name(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(file): file for file in FILES}


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _walk(node: ast.AST, *, deferred: bool) -> Iterator[ast.AST]:
    """Yield what runs, without what only type checkers read; without function bodies too unless `deferred`."""
    for child in ast.iter_child_nodes(node):
        if _is_type_checking(child):
            continue
        if not deferred and isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        yield child
        yield from _walk(child, deferred=deferred)


@cache
def imports(module: str, *, deferred: bool = True) -> frozenset[str]:
    """Full names of what a module imports: at import, and inside its functions unless told otherwise."""
    found: set[str] = set()
    for node in _walk(tree(module), deferred=deferred):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found.update(name if name in MODULES else str(node.module) for name in names)
    return frozenset(found)


def own(names: frozenset[str]) -> set[str]:
    return {name for name in names if name.partition(".")[0] in PACKAGES}


def reached(module: str) -> set[str]:
    """All that is imported when a module is, directly or by others."""
    seen: set[str] = set()
    todo = [module]
    while todo:
        for name in imports(todo.pop(), deferred=False) - seen:
            seen.add(name)
            if name in MODULES:
                todo.append(name)
    return seen


def top_level(names: set[str] | frozenset[str]) -> set[str]:
    return {name.partition(".")[0] for name in names}


def test_there_is_something_to_look_at() -> None:
    assert {name.partition(".")[0] for name in MODULES} == set(PACKAGES)


def test_imports_point_down() -> None:
    for module in MODULES:
        allowed = LAYERS[module.partition(".")[0]]
        assert top_level(own(imports(module))) <= allowed, module


def test_the_recogniser_knows_no_queue_database_or_http() -> None:
    for module in [name for name in MODULES if name.startswith("core")]:
        assert not top_level(imports(module)) & FRAMEWORKS, module


def test_the_light_part_needs_the_standard_library_alone() -> None:
    for module in [*LIGHT, *DECIDING]:
        everything = reached(module)
        assert own(frozenset(everything)) <= {*LIGHT, *DECIDING}, module
        assert not top_level(everything) & (TORCH | FRAMEWORKS | {"numpy", "PIL"}), module


def test_weights_are_known_found_and_pulled_with_the_standard_library_alone() -> None:
    for module in [name for name in MODULES if name.startswith("core.weights")]:
        assert top_level(reached(module)) <= {"core", *sys.stdlib_module_names}, module


def test_the_ledger_takes_the_light_part_of_core_alone() -> None:
    for module in [name for name in MODULES if name.startswith("db")]:
        assert {name for name in own(imports(module)) if name.startswith("core")} <= {*LIGHT, *DECIDING, "core"}, module


def test_the_web_knows_the_doorbell_and_no_task() -> None:
    for module in [name for name in MODULES if name.startswith("web")]:
        assert {name for name in own(imports(module)) if name.startswith("workers")} <= WEB_MAY_RING, module
        assert not top_level(reached(module)) & TORCH, module
        assert "workers.tasks" not in reached(module), module


def test_commands_that_only_ask_the_ledger_never_load_torch() -> None:
    for module in [
        "scripts.main",
        "scripts.submit",
        "scripts.results",
        "scripts.job",
        "scripts.people",
        "scripts.rescore",
    ]:
        assert not top_level(reached(module)) & TORCH, module


def test_no_module_imports_itself_in_a_circle() -> None:
    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " > ".join([*trail[trail.index(module) :], module])
        if module in done:
            return
        for name in sorted(own(imports(module, deferred=False))):
            if name in MODULES:
                visit(name, (*trail, module))
        done.add(module)

    done: set[str] = set()
    for module in MODULES:
        visit(module, ())


def test_every_module_says_what_it_owns() -> None:
    for module in MODULES:
        docstring = ast.get_docstring(tree(module))
        assert docstring, module
        prose = docstring.split("\n\n    ")[0]  # a drawn tree or an example may follow
        assert len(prose.splitlines()) <= 12, module
        assert docstring.splitlines()[0].endswith((".", ":", "?")), module


def test_a_package_file_holds_a_docstring_alone() -> None:
    for module in [name for name, file in MODULES.items() if file.name == "__init__.py"]:
        body = tree(module).body
        assert len(body) == 1, module
        assert isinstance(body[0], ast.Expr), module


def test_files_and_functions_stay_small() -> None:
    """Look again at 400 lines a file and at 40 a function; lists of tables and of errors may be as long as they are."""
    for module in MODULES:
        if module not in {"core.errors", "db.tables"}:
            assert len(MODULES[module].read_text(encoding="utf-8").splitlines()) <= 400, module
        if module.startswith("db.migrations"):
            continue
        for node in ast.walk(tree(module)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                lines = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
                assert lines <= 40, f"{module}: {node.name} has {lines} lines"


def test_no_error_is_swallowed() -> None:
    """Nothing catches everything only to do nothing."""
    for module in MODULES:
        for node in ast.walk(tree(module)):
            if isinstance(node, ast.ExceptHandler):
                catches_all = node.type is None or (
                    isinstance(node.type, ast.Name) and node.type.id in {"Exception", "BaseException"}
                )
                does_nothing = all(isinstance(part, ast.Pass | ast.Constant | ast.Continue) for part in node.body)
                assert not (catches_all and does_nothing), f"{module}: line {node.lineno}"


def written() -> Iterator[Path]:
    """The files that people wrote; built and vendored ones, and locks, are not among them."""
    folders = [*PACKAGES, "tests", "docs", ".ci"]
    for folder in folders:
        yield from (file for file in (ROOT / folder).rglob("*") if file.is_file() and "__pycache__" not in file.parts)
    for name in (
        "README.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "Makefile",
        "Dockerfile",
        "compose.yaml",
        "pyproject.toml",
    ):
        yield ROOT / name


def test_the_text_speaks_of_the_project_alone() -> None:
    """No path of one machine, no package index of one house, and no open end."""
    forbidden = re.compile(r"/work/|/home/\w+/|index-url|TODO|FIXME|XXX")
    here = Path(__file__).resolve()
    for file in written():
        if file == here or file.suffix in {".png", ".jpg", ".svg", ".ico"}:
            continue
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            allowed = "--no-emit-index-url" in line
            assert allowed or not forbidden.search(line), f"{file.relative_to(ROOT)}:{number}: {line.strip()}"


_INSTALLED_AS = {"PIL": "pillow", "billiard": "celery", "sklearn": "scikit_learn", "cv2": "opencv_python_headless"}


def asked_for(lines: list[str]) -> set[str]:
    return {re.split(r"[\[<>= ]", line)[0].replace("-", "_") for line in lines}


def test_every_imported_library_is_asked_for() -> None:
    """What pyproject.toml does not name works only as long as something else brings it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = {
        "scripts.bench.": asked_for(project["optional-dependencies"]["bench"]),
        "core.models.openvino": asked_for(project["optional-dependencies"]["openvino"]),
    }
    asked = asked_for(project["dependencies"])
    for module in MODULES:
        used = top_level(imports(module)) - set(PACKAGES) - sys.stdlib_module_names
        allowed = asked.union(*(extra for start, extra in extras.items() if module.startswith(start)))
        assert {_INSTALLED_AS.get(name, name) for name in used} <= allowed, module


def test_what_only_benchmarks_of_others_need_is_imported_where_it_is_used() -> None:
    for module in MODULES:
        assert not top_level(imports(module, deferred=False)) & {"cv2", "openvino", "ray"}, module
