//! The services besides STS and ECS: what each is called, how it is spoken to, and where it is. Nothing is sent from here.
//!
//! `endpoints.json` has the hosts as AWS's own rules give them. `tests/peers/endpoint_table.py` makes it from those of
//! botocore, as far as there is one rule for all regions of a partition.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use aws_config::SdkConfig;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::endpoint::{EndpointFuture, EndpointResolverParams, ResolveEndpoint};
use aws_smithy_types::endpoint::{Endpoint, EndpointAuthScheme};
use aws_types::service_config::ServiceConfigKey;
use serde::Deserialize;

use crate::aws::protocol::Protocol;
use crate::fleet::role_arn::partition_of;

/// A service of AWS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service {
    /// The id that the SDKs have for it: settings name it, and the log of calls.
    pub id: &'static str,
    /// What requests are signed for, and what its hosts are called.
    pub name: &'static str,
    /// How it is spoken to.
    pub protocol: Protocol,
}

/// CloudFormation.
pub const CLOUDFORMATION: Service = query("CloudFormation", "cloudformation", "2010-05-15");
/// CloudWatch.
pub const CLOUDWATCH: Service = json("CloudWatch", "monitoring", "1.0", "GraniteServiceVersion20100801");
/// CloudWatch Logs.
pub const LOGS: Service = json("CloudWatch Logs", "logs", "1.1", "Logs_20140328");
/// CodeDeploy.
pub const CODEDEPLOY: Service = json("CodeDeploy", "codedeploy", "1.1", "CodeDeploy_20141006");
/// ECR.
pub const ECR: Service = json("ECR", "ecr", "1.1", "AmazonEC2ContainerRegistry_V20150921");
/// Elastic Load Balancing.
pub const ELB: Service = query("Elastic Load Balancing v2", "elasticloadbalancing", "2015-12-01");
/// IAM.
pub const IAM: Service = query("IAM", "iam", "2010-05-08");
/// Organizations.
pub const ORGANIZATIONS: Service = json("Organizations", "organizations", "1.1", "AWSOrganizationsV20161128");
/// S3.
pub const S3: Service = Service { id: "S3", name: "s3", protocol: Protocol::Object };
/// Secrets Manager.
pub const SECRETS: Service = json("Secrets Manager", "secretsmanager", "1.1", "secretsmanager");
/// Systems Manager.
pub const SSM: Service = json("SSM", "ssm", "1.1", "AmazonSSM");

const fn json(id: &'static str, name: &'static str, version: &'static str, target: &'static str) -> Service {
    Service { id, name, protocol: Protocol::Json { version, target } }
}

const fn query(id: &'static str, name: &'static str, version: &'static str) -> Service {
    Service { id, name, protocol: Protocol::Query { version } }
}

/// Where a service is in a partition.
#[derive(Debug, Deserialize)]
struct Place {
    /// The only region that it is in.
    region: Option<String>,
    /// The usual host, that with dual-stack, that with FIPS, and that with both; one that there is not is empty.
    hosts: [String; 4],
}

/// Places by the id of the service and the partition.
static PLACES: LazyLock<BTreeMap<String, BTreeMap<String, Place>>> =
    LazyLock::new(|| serde_json::from_str(include_str!("endpoints.json")).expect("the table has this form"));

/// Finds where the calls of one region are sent: to the service there, unless a setting names another endpoint.
#[derive(Debug)]
pub struct Locator {
    service: Service,
    region: String,
    fips: bool,
    dual_stack: bool,
    configured: Option<String>,
    /// The bucket of S3 that all calls are for.
    bucket: Option<String>,
}

impl Locator {
    /// Reads the settings of a service for a region.
    pub fn new(service: Service, config: &SdkConfig, region: &str) -> Self {
        let key = ServiceConfigKey::builder().service_id(service.id).env("AWS_ENDPOINT_URL").profile("endpoint_url");
        Self {
            service,
            region: region.to_owned(),
            fips: config.use_fips().unwrap_or_default(),
            dual_stack: config.use_dual_stack().unwrap_or_default(),
            configured: key.build().ok().and_then(|key| config.service_config()?.load_config(key)),
            bucket: None,
        }
    }

    /// Makes it lead to one bucket of S3: by its host, unless the endpoint is a configured one, which may know one host alone, or
    /// the bucket's name has a dot, for which no certificate of AWS's holds. Then the bucket begins the path.
    #[must_use]
    pub fn in_bucket(self, bucket: &str) -> Self {
        Self { bucket: Some(bucket.to_owned()), ..self }
    }

    fn find(&self) -> Result<Endpoint, BoxError> {
        let Self { service, region, fips, dual_stack, configured, bucket } = self;
        let is_label = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let in_path = bucket.as_ref().filter(|bucket| configured.is_some() || !is_label(bucket));
        let path = in_path.map(|bucket| format!("/{bucket}")).unwrap_or_default();
        let label =
            bucket.as_ref().filter(|_| in_path.is_none()).map(|bucket| format!("{bucket}.")).unwrap_or_default();
        match configured {
            Some(_) if *fips || *dual_stack => Err("a configured endpoint is neither FIPS's nor dual-stack".into()),
            Some(url) => Ok(Endpoint::builder().url(format!("{}{path}", url.trim_end_matches('/'))).build()),
            None => {
                let places = PLACES.get(service.id).and_then(|partitions| partitions.get(partition_of(region)));
                let place = places.ok_or_else(|| format!("{} is not known in {region}", service.id))?;
                let host = place.hosts[usize::from(*fips) * 2 + usize::from(*dual_stack)].replace("{region}", region);
                if host.is_empty() {
                    return Err(format!("{} has no such endpoint in {region}", service.id).into());
                }
                let endpoint = Endpoint::builder().url(format!("https://{label}{host}{path}"));
                Ok(match &place.region {
                    Some(home) => {
                        let signed = EndpointAuthScheme::with_capacity("sigv4", 1).put("signingRegion", home.clone());
                        endpoint.auth_scheme(signed).build()
                    }
                    None => endpoint.build(),
                })
            }
        }
    }
}

impl ResolveEndpoint for Locator {
    fn resolve_endpoint<'a>(&'a self, _: &'a EndpointResolverParams) -> EndpointFuture<'a> {
        EndpointFuture::ready(self.find())
    }
}

#[cfg(test)]
mod tests {
    use aws_types::service_config::LoadServiceConfig;

    use super::*;

    fn find(service: Service, region: &str, fips: bool, dual_stack: bool) -> (String, Option<String>) {
        let config = SdkConfig::builder().use_fips(fips).use_dual_stack(dual_stack).build();
        let endpoint = Locator::new(service, &config, region).find().expect("an endpoint");
        let schemes = endpoint.auth_schemes().first().and_then(|scheme| scheme.get("signingRegion"));
        (endpoint.url().to_owned(), schemes.and_then(|region| region.as_string()).map(str::to_owned))
    }

    #[test]
    fn hosts_follow_the_partition_and_the_settings() {
        for (service, region, fips, dual_stack, url) in [
            (SSM, "eu-west-1", false, false, "https://ssm.eu-west-1.amazonaws.com"),
            (SSM, "cn-north-1", false, false, "https://ssm.cn-north-1.amazonaws.com.cn"),
            (SSM, "us-gov-west-1", true, false, "https://ssm.us-gov-west-1.amazonaws.com"),
            (SSM, "us-iso-east-1", false, false, "https://ssm.us-iso-east-1.c2s.ic.gov"),
            (SSM, "us-isob-east-1", false, false, "https://ssm.us-isob-east-1.sc2s.sgov.gov"),
            (SSM, "eu-isoe-west-1", false, false, "https://ssm.eu-isoe-west-1.cloud.adc-e.uk"),
            (SSM, "us-isof-south-1", false, false, "https://ssm.us-isof-south-1.csp.hci.ic.gov"),
            (SSM, "eusc-de-east-1", false, false, "https://ssm.eusc-de-east-1.amazonaws.eu"),
            (LOGS, "us-east-1", true, false, "https://logs-fips.us-east-1.amazonaws.com"),
            (LOGS, "us-east-1", true, true, "https://logs-fips.us-east-1.api.aws"),
            (CLOUDWATCH, "eu-west-1", false, false, "https://monitoring.eu-west-1.amazonaws.com"),
            (ELB, "eu-west-1", false, true, "https://elasticloadbalancing.eu-west-1.api.aws"),
            (ECR, "eu-west-1", false, false, "https://api.ecr.eu-west-1.amazonaws.com"),
            (ECR, "eu-west-1", false, true, "https://ecr.eu-west-1.api.aws"),
            (ECR, "us-gov-west-1", true, false, "https://api.ecr-fips.us-gov-west-1.amazonaws.com"),
            (SECRETS, "eu-west-1", false, true, "https://secretsmanager.eu-west-1.amazonaws.com"),
            (CODEDEPLOY, "eu-west-1", true, false, "https://codedeploy-fips.eu-west-1.amazonaws.com"),
            (S3, "us-east-1", false, false, "https://s3.us-east-1.amazonaws.com"),
            (S3, "us-east-1", true, true, "https://s3-fips.dualstack.us-east-1.amazonaws.com"),
        ] {
            assert_eq!(find(service, region, fips, dual_stack), (url.to_owned(), None), "{service:?} {region}");
        }
    }

    #[test]
    fn an_endpoint_that_there_is_not_is_an_error() {
        let config = SdkConfig::builder().use_fips(true).build();
        let error = Locator::new(S3, &config, "cn-north-1").find().expect_err("no FIPS there");
        assert_eq!(error.to_string(), "S3 has no such endpoint in cn-north-1");
    }

    #[test]
    fn services_without_regions_are_signed_for_the_one_that_they_are_in() {
        for (service, region, url, home) in [
            (IAM, "eu-west-1", "https://iam.amazonaws.com", "us-east-1"),
            (IAM, "cn-northwest-1", "https://iam.cn-north-1.amazonaws.com.cn", "cn-north-1"),
            (IAM, "us-gov-east-1", "https://iam.us-gov.amazonaws.com", "us-gov-west-1"),
            (ORGANIZATIONS, "eu-west-1", "https://organizations.us-east-1.amazonaws.com", "us-east-1"),
            (ORGANIZATIONS, "us-gov-east-1", "https://organizations.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ] {
            let found = find(service, region, false, false);
            assert_eq!(found, (url.to_owned(), Some(home.to_owned())), "{service:?} {region}");
        }
    }

    #[test]
    fn every_service_is_known_in_every_partition() {
        let all = [CLOUDFORMATION, CLOUDWATCH, CODEDEPLOY, ECR, ELB, IAM, LOGS, ORGANIZATIONS, S3, SECRETS, SSM];
        assert_eq!(PLACES.len(), all.len());
        for service in all {
            assert_eq!(PLACES.get(service.id).map(BTreeMap::len), Some(8), "{service:?}");
        }
    }

    /// Settings of one service.
    #[derive(Debug)]
    struct Configured;

    impl LoadServiceConfig for Configured {
        fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
            ["IAM", "S3"].contains(&key.service_id()).then(|| "http://127.0.0.1:4566/x".to_owned())
        }
    }

    #[test]
    fn a_configured_endpoint_is_taken_as_it_is_and_not_with_fips() {
        let config = |fips| SdkConfig::builder().use_fips(fips).service_config(Configured).build();
        let endpoint = Locator::new(IAM, &config(false), "eu-west-1").find().expect("an endpoint");
        assert_eq!((endpoint.url(), endpoint.auth_schemes().len()), ("http://127.0.0.1:4566/x", 0));
        assert!(Locator::new(IAM, &config(true), "eu-west-1").find().is_err());
        assert!(Locator::new(SSM, &config(true), "eu-west-1").find().is_ok());
    }

    #[test]
    fn a_bucket_is_a_host_or_begins_the_path() {
        for (bucket, region, configured, url) in [
            ("states", "eu-west-1", false, "https://states.s3.eu-west-1.amazonaws.com"),
            ("states", "cn-north-1", false, "https://states.s3.cn-north-1.amazonaws.com.cn"),
            ("acme.states", "eu-west-1", false, "https://s3.eu-west-1.amazonaws.com/acme.states"),
            ("127@localhost/", "eu-west-1", false, "https://s3.eu-west-1.amazonaws.com/127@localhost/"),
            ("states", "eu-west-1", true, "http://127.0.0.1:4566/x/states"),
        ] {
            let config = SdkConfig::builder();
            let config = if configured { config.service_config(Configured).build() } else { config.build() };
            let endpoint = Locator::new(S3, &config, region).in_bucket(bucket).find().expect("an endpoint");
            assert_eq!((endpoint.url(), endpoint.auth_schemes().len()), (url, 0), "{bucket}");
        }
    }
}
