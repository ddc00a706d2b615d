"""Parameters of the estimators in named groups, each group and each parameter with an anchor; attributes in a table.

`GROUPS` is the one place that says which parameter belongs where. A page of an estimator with many parameters shows
them under the groups' names, in the groups' order; `#parameters-training` and `#parameter-alpha` lead to them.
"""

from typing import Any

from docutils import nodes

GROUPS: dict[str, tuple[str, list[str]]] = {
    "network": (
        "Network",
        [
            "n_components",
            "hidden_layer_sizes",
            "activation",
            "dropout",
            "layer_norm",
            "architecture",
            "image_shape",
            "embedding",
            "encoder",
            "freeze_encoder",
            "estimator",
            "imputer",
        ],
    ),
    "distributions": (
        "Distributions",
        [
            "likelihood",
            "max_categories",
            "handle_unknown",
            "scaling",
            "prior",
            "posterior",
            "objective",
            "beta",
            "free_bits",
            "n_importance_samples",
            "criterion",
        ],
    ),
    "tasks": (
        "Tasks",
        [
            "task_likelihoods",
            "task_weighting",
            "reconstruction_weight",
            "sharing",
            "head_hidden_layer_sizes",
            "task_similarity",
            "consistency",
            "class_weight",
        ],
    ),
    "training": (
        "Training",
        [
            "max_iter",
            "batch_size",
            "learning_rate_init",
            "learning_rate_decay",
            "alpha",
            "corruption",
            "penalty",
            "penalty_weight",
            "early_stopping",
            "validation_fraction",
            "n_iter_no_change",
            "tol",
            "warm_start",
            "checkpoint",
            "device",
            "dtype",
            "random_state",
            "n_jobs",
            "net_params",
        ],
    ),
    "ensemble": ("Ensemble", ["n_estimators", "n_draws", "n_models", "max_samples", "member_params", "cv"]),
    "output": ("Output", ["add_indicator", "keep_empty_features", "contamination", "novelty", "variance", "verbose"]),
}
"""For each group: its name, and the parameters in the order in which they are shown."""

FEWEST = 12
"""Shorter lists stay undivided."""
KNOWN = {name for _, names in GROUPS.values() for name in names}
"""Parameters that have a group. A class with others, such as a search, keeps its list."""


def names_of(item: nodes.definition_list_item) -> list[str]:
    """Return the names of the parameters that an item describes."""
    strong = item.next_node(nodes.strong)
    return [name.strip() for name in strong.astext().split(",")] if strong is not None else []


def grouped(parameters: nodes.definition_list) -> list[nodes.Node]:
    """Return the list as a line of links and a list for each group."""
    items = {names_of(item)[0]: item for item in parameters.children}
    links, lists = nodes.paragraph(classes=["parameter-groups"]), []
    for key, (title, names) in GROUPS.items():
        own = [items.pop(name) for name in names if name in items]
        if own:
            anchor = f"parameters-{key}"
            links += [nodes.Text(" · ")] if links.children else []
            links += nodes.reference("", title, refid=anchor, internal=True)
            lists += [nodes.rubric("", title, ids=[anchor]), nodes.definition_list("", *own)]
    return [links, *lists]


def cell(*content: nodes.Node) -> nodes.entry:
    """Return a cell of a table."""
    return nodes.entry("", *content)


def tabulated(attributes: nodes.definition_list) -> nodes.table:
    """Return a list of attributes as a table of names, types and descriptions."""
    head = nodes.row("", *(cell(nodes.paragraph("", name)) for name in ("Attribute", "Type", "Description")))
    body = nodes.tbody()
    for item in attributes.children:
        *names, description = item.children
        term, types = names[0], [nodes.Text(own.astext()) for own in names[1:]]
        row = [cell(nodes.paragraph("", "", *term.children)), cell(nodes.paragraph("", "", *types))]
        body += nodes.row("", *row, cell(*description.children))
    columns = [nodes.colspec(colwidth=1) for _ in range(3)]
    return nodes.table("", nodes.tgroup("", *columns, nodes.thead("", head), body, cols=3), classes=["attributes"])


def arrange(app: Any, doctree: nodes.document) -> None:
    """Give the parameters of each class anchors, and long lists of them groups; make tables of attributes."""
    for field in list(doctree.findall(nodes.field)):
        name, body = field.children
        listed = body.next_node(nodes.definition_list)
        if listed is None or field.parent.parent.parent.get("objtype") != "class":
            continue
        if name.astext() == "Attributes":
            listed.parent.replace(listed, tabulated(listed))
        elif name.astext() == "Parameters":
            group(listed)


def group(parameters: nodes.definition_list) -> None:
    """Give parameters anchors, and long lists of them groups."""
    for item in parameters.children:
        item["ids"] += [f"parameter-{own.strip('*')}" for own in names_of(item)]
    known = {names_of(item)[0] for item in parameters.children} <= KNOWN
    if known and len(parameters.children) >= FEWEST:
        parameters.parent.replace(parameters, grouped(parameters))


def setup(app: Any) -> dict[str, bool]:
    """Hook into the reading of pages."""
    app.connect("doctree-read", arrange)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
