"""Accounts from moto's AWS Organizations: another project's answers, read by unchanged code.

moto lists a hundred accounts on a page and throttles nobody; its accounts have a `Status`.
"""

import json

import pytest

import peers

ENTRY = {
    "from": "organization",
    "ou": "workloads",
    "tags": {"env": ["prod", "test"]},
    "exclude": {"name": "old-*"},
    "chain": ["hub", "deployer"],
    "regions": ["eu-west-1"],
    "labels": {"env": "${org.tags.env}", "unit": "${org.ou.name}"},
}
MANAGEMENT_ROLE = f"arn:aws:iam::{peers.IDS['hub']}:role/organization-reader"


@pytest.fixture
def organizations(moto):
    """The management account's client, as an administrator has it."""
    session = peers.client(moto, "sts").assume_role(RoleArn=peers.HUB, RoleSessionName="seed")["Credentials"]
    keys = session["AccessKeyId"], session["SecretAccessKey"], session["SessionToken"]
    client = peers.client(moto, "organizations", "us-east-1", *keys)
    client.create_organization(FeatureSet="ALL")
    return client


class Tree:
    """An organization with two units in a third, and accounts in them."""

    def __init__(self, client):
        self.client = client
        self.root = client.list_roots()["Roots"][0]["Id"]
        self.ids = {}
        workloads = self.unit(self.root, "workloads")
        self.units = {name: self.unit(workloads, name) for name in ("prod", "test")}
        for number in range(24):
            self.account(f"Team {number}", "prod" if number % 2 else "test")
        self.account("old-1", "prod")

    def unit(self, parent, name):
        return self.client.create_organizational_unit(ParentId=parent, Name=name)["OrganizationalUnit"]["Id"]

    def account(self, name, unit):
        email = name.lower().replace(" ", "-") + "@example.com"
        tags = [{"Key": "env", "Value": unit}]
        status = self.client.create_account(AccountName=name, Email=email, Tags=tags)["CreateAccountStatus"]
        self.ids[name] = status["AccountId"]
        self.client.move_account(
            AccountId=status["AccountId"], SourceParentId=self.root, DestinationParentId=self.units[unit]
        )


@pytest.fixture
def tree(organizations):
    return Tree(organizations)


@pytest.fixture
def project(project):
    manifest = project.manifest()
    manifest["identity"]["organization_chain"] = ["reader"]
    manifest["roles"]["reader"] = {"arn": MANAGEMENT_ROLE}
    manifest["accounts"] = [ENTRY]
    manifest["services"] = [{"name": "worker", "cluster": "web", "images": {"app": project.image}}]
    project.manifest = lambda: manifest
    return project


def test_the_accounts_of_a_unit_are_written_down_and_listed(moto, tree, project):
    run = project.roleout("accounts", "--update")
    assert run.code == 0, run
    lock = (project.directory / "deploy.accounts.lock.yaml").read_text()
    assert len([line for line in lock.splitlines() if ', ou: "workloads/' in line]) == 24, lock
    assert "old-1" not in lock and "@" not in lock, lock
    assert project.roleout("accounts", "--check").code == 0
    run = project.roleout("accounts", "--format", "json")
    accounts = {account["name"]: account for account in json.loads(run.stdout)["accounts"]}
    assert accounts["team-3"]["id"] == tree.ids["Team 3"]
    assert accounts["team-3"]["labels"] == {"env": "prod", "unit": "prod"}
    assert project.roleout("check").code == 0


def test_what_changed_is_shown(moto, tree, project):
    assert project.roleout("accounts", "--update").code == 0
    tree.client.move_account(
        AccountId=tree.ids["Team 2"],
        SourceParentId=tree.units["test"],
        DestinationParentId=tree.units["prod"],
    )
    tree.client.tag_resource(ResourceId=tree.ids["Team 4"], Tags=[{"Key": "env", "Value": "prod"}])
    tree.client.remove_account_from_organization(AccountId=tree.ids["Team 5"])
    tree.account("Team 99", "prod")
    run = project.roleout("accounts", "--check", "--format", "json")
    assert run.code == 20, run
    changes = {(change["name"], change["change"]) for change in json.loads(run.stdout)["changes"]}
    assert changes == {("Team 2", "moved"), ("Team 4", "tag"), ("Team 5", "gone"), ("Team 99", "new")}
    assert project.roleout("accounts", "--update").code == 20
    run = project.roleout("check")
    assert run.code == 3 and "is not in the organization any more" in run.stderr, run
    assert project.roleout("accounts", "--update", "--accept-gone", tree.ids["Team 5"]).code == 0
    assert project.roleout("check").code == 0
