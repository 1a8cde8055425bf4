"""Writes the manifest of a fleet to measure with: python3 benches/fleet.py ACCOUNTS SERVICES [ROLLOUT [REGION ...]]"""

import sys


def manifest(accounts, services, rollout="", regions=("eu-west-1",)):
    """Returns the manifest of accounts behind one hub, each with the same services in the same regions."""
    lines = [
        """version: 1
identity: { token_env: TOKEN, region: eu-west-1 }
roles:
  hub: { arn: "arn:aws:iam::111111111111:role/hub" }
  leaf: { arn: "arn:aws:iam::${account.id}:role/leaf", external_id: team }
accounts:"""
    ]
    for number in range(accounts):
        ring = "canary" if number == 0 else "main"
        lines.append(
            f'  - {{ name: a{number}, id: "{200000000000 + number}", chain: [hub, leaf], '
            f"regions: [{', '.join(regions)}], labels: {{ ring: {ring} }} }}"
        )
    lines.append("services:")
    for number in range(services):
        lines.append(
            f'  - {{ name: s{number}, cluster: main, images: {{ app: "registry.example.com/s{number}:v2" }} }}'
        )
    lines.append(f"rollout: {rollout}" if rollout else "")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    accounts, services = int(sys.argv[1]), int(sys.argv[2])
    rollout = sys.argv[3] if len(sys.argv) > 3 else ""
    print(manifest(accounts, services, rollout, sys.argv[4:] or ("eu-west-1",)), end="")
