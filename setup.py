"""What pyproject.toml cannot say: the tutorials lie beside the package and go inside it."""

from setuptools import find_namespace_packages, setup

setup(
    packages=[*find_namespace_packages(include=["connectomics*"]), "connectomics.tutorials"],
    package_dir={"connectomics.tutorials": "tutorials"},
)
