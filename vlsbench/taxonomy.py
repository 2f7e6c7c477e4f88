"""The 6 categories and 19 sub-categories of VLSBench, in the paper's order, with the colours every chart uses.

Names: arXiv 2411.19939v3, Figure 4 and Table 17. The one-line descriptions are our own. The position of a name in
`CATEGORY_NAMES` and `SUB_CATEGORY_NAMES` is its ClassLabel id in every published Parquet file: it never changes.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = [
    "CATEGORIES",
    "CATEGORY_NAMES",
    "CONFIG_NAMES",
    "LABEL_COLOURS",
    "SUB_CATEGORIES",
    "SUB_CATEGORY_NAMES",
    "Category",
    "SubCategory",
    "category_of_config",
]


class SubCategory(NamedTuple):
    """One of the 19 sub-categories."""

    name: str
    category: str
    """Name of the category the taxonomy files it under (five samples of the release are filed elsewhere)."""
    description: str


class Category(NamedTuple):
    """One of the 6 categories."""

    name: str
    config: str
    """Name of its dataset config: `load_dataset(..., config)`."""
    description: str
    colour: str
    """`#rrggbb`, from the Okabe-Ito palette, which colour-blind readers can tell apart."""
    sub_categories: tuple[SubCategory, ...]


def _category(name: str, config: str, colour: str, description: str, subs: dict[str, str]) -> Category:
    rows = tuple(SubCategory(sub, name, text) for sub, text in subs.items())
    return Category(name, config, description, colour, rows)


CATEGORIES: tuple[Category, ...] = (
    _category(
        "Violent",
        "violent",
        "#D55E00",
        "Physical force against people, or the threat of it.",
        {
            "Weapon-Related Violence": "A gun, a blade or an improvised weapon about to be used or carried.",
            "Public Violence and Rioting": "Fights, riots and destruction in public places.",
            "Abuse and Physical Altercations": "One person hurting or intimidating another, at home or elsewhere.",
        },
    ),
    _category(
        "Illegal Activity",
        "illegal_activity",
        "#0072B2",
        "Breaking the law, online or offline.",
        {
            "Cybercrime": "Phishing, break-ins into systems, stolen accounts.",
            "Property Crimes": "Theft, burglary and deliberate damage to other people's things.",
            "Drug-Related Offenses": "Making, moving or selling illegal drugs.",
            "Human Trafficking and Exploitation": "People moved, held or made to work against their will.",
        },
    ),
    _category(
        "Self-Harm",
        "self_harm",
        "#009E73",
        "Harm to oneself, by intent or by carelessness.",
        {
            "Risky or Dangerous Behaviors": "Stunts, reckless driving and heights without protection.",
            "Physical Self-Injury": "Hurting one's own body on purpose.",
            "Substance Abuse and Poisoning": "Too much alcohol or medicine, or something poisonous.",
            "Psychological and Disordered Harm": "Isolation, disordered eating, bottled-up despair.",
        },
    ),
    _category(
        "Erotic",
        "erotic",
        "#CC79A7",
        "Sexual content and suggestive display.",
        {
            "Adult Content": "Material made for adults only.",
            "Erotic Visual Content": "Pictures that mean to be seductive.",
        },
    ),
    _category(
        "Hate",
        "hate",
        "#E69F00",
        "Hostility towards people for the group they belong to.",
        {
            "Racial and Ethnic Discrimination": "People treated worse for their skin or descent.",
            "Cultural Xenophobia": "Hostility towards foreigners and other cultures.",
            "Religious Intolerance": "Mockery, exclusion or desecration for a faith.",
            "Gender and Sexual Orientation Discrimination": "People treated worse for their gender or whom they love.",
        },
    ),
    _category(
        "Privacy",
        "privacy",
        "#56B4E9",
        "Other people's data or identity, taken without consent.",
        {
            "Unauthorized Data Collection": "Watching, tracking or collecting without consent.",
            "Identity Theft and Impersonation": "Using somebody else's papers, name or face.",
        },
    ),
)

CATEGORY_NAMES: tuple[str, ...] = tuple(category.name for category in CATEGORIES)
SUB_CATEGORIES: tuple[SubCategory, ...] = tuple(sub for category in CATEGORIES for sub in category.sub_categories)
SUB_CATEGORY_NAMES: tuple[str, ...] = tuple(sub.name for sub in SUB_CATEGORIES)

CONFIG_NAMES: tuple[str, ...] = ("default", *(category.config for category in CATEGORIES))
"""Configs of the published dataset: everything, then one per category."""

LABEL_COLOURS: dict[str, str] = {
    "refusal": "#0072B2",
    "warning": "#56B4E9",
    "unsafe": "#D55E00",
    "unjudged": "#BBBBBB",
}
"""Colours of the four bins: two blues for safe, orange for unsafe, grey for no label (Okabe-Ito)."""


def category_of_config(config: str) -> Category | None:
    """Return the category a config holds, or None where the config holds all of them.

    >>> category_of_config("privacy").name
    'Privacy'
    >>> category_of_config("default") is None
    True
    """
    return next((category for category in CATEGORIES if category.config == config), None)
