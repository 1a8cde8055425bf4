"""Writes the manifest of a fleet to measure with: python3 benches/fleet.py ACCOUNTS SERVICES [ROLLOUT]"""

import sys

accounts, services = int(sys.argv[1]), int(sys.argv[2])
print(
    """version: 1
identity: { token_env: TOKEN, region: eu-west-1 }
roles:
  hub: { arn: "arn:aws:iam::111111111111:role/hub" }
  leaf: { arn: "arn:aws:iam::${account.id}:role/leaf", external_id: team }
accounts:"""
)
for number in range(accounts):
    print(
        f'  - {{ name: a{number}, id: "{200000000000 + number}", chain: [hub, leaf], '
        f"regions: [eu-west-1], labels: {{ ring: {'canary' if number == 0 else 'main'} }} }}"
    )
print("services:")
for number in range(services):
    print(f'  - {{ name: s{number}, cluster: main, images: {{ app: "registry.example.com/s{number}:v2" }} }}')
print(f"rollout: {sys.argv[3]}" if len(sys.argv) > 3 else "")
