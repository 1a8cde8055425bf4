"""Writes src/aws/endpoints.json: where botocore's rules say that services are, as one table.

`python tests/peers/endpoint_table.py` renews the file; `test_endpoint_table.py` asserts that it is up to date.

The table has the ids of services, and in each the partitions: `hosts` has the usual host, that with dual-stack, that with FIPS,
and that with both; one that there is not is empty. A service without regions has the `region` of the partition in which it is.
"""

import json
import pathlib

import botocore.session
from botocore.endpoint_provider import EndpointProvider
from botocore.exceptions import EndpointResolutionError

TABLE = pathlib.Path(__file__).parents[2] / "src" / "aws" / "endpoints.json"

# The services of src/aws/service.rs.
SERVICES = ["cloudformation", "cloudwatch", "codedeploy", "ecr", "elbv2", "iam", "logs", "organizations", "s3", "secretsmanager", "ssm"]


def place(provider, region):
    """Returns where a service is, as it is asked for in a region."""

    def find(fips, dual_stack):
        return provider.resolve_endpoint(Region=region, UseFIPS=fips, UseDualStack=dual_stack)

    scheme = find(False, False).properties.get("authSchemes", [{}])[0]
    # Those of S3, which alone has this setting, name the region that was asked for.
    home = None if scheme.get("disableDoubleEncoding") else scheme.get("signingRegion")
    region = home or region
    modes = [(fips, dual_stack) for fips in (False, True) for dual_stack in (False, True)]
    hosts = []
    for mode in modes:
        try:
            hosts.append(find(*mode).url.removeprefix("https://"))
        except EndpointResolutionError:
            hosts.append("")
    return {"region": home, "hosts": hosts} if home else {"hosts": [host.replace(region, "{region}") for host in hosts]}


def text():
    """Returns the file's text."""
    loader = botocore.session.get_session().get_component("data_loader")
    partitions = loader.load_data("partitions")
    services = []
    for name in SERVICES:
        provider = EndpointProvider(loader.load_service_model(name, "endpoint-rule-set-1"), partitions)
        lines = []
        for partition in partitions["partitions"]:
            regions = [region for region in partition["regions"] if not region.endswith("-global")]
            places = [json.dumps(place(provider, region)) for region in regions]
            # There is one line for all regions of a partition.
            assert len(set(places)) == 1, (name, partition["id"], set(places))
            lines.append(f"    {json.dumps(partition['id'])}: {places[0]}")
        service = json.dumps(loader.load_service_model(name, "service-2")["metadata"]["serviceId"])
        services.append(f"  {service}: {{\n" + ",\n".join(lines) + "\n  }")
    return "{\n" + ",\n".join(services) + "\n}\n"


if __name__ == "__main__":
    TABLE.write_text(text())
