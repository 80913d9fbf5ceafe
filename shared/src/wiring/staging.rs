//! Where uploads are staged.

use std::sync::Arc;

use aws_config::SdkConfig;

use super::StartError;
use crate::clock::Clock;
use crate::config::{Config, StoreConfig};
use crate::staging::Staging;
use crate::staging::s3::S3Staging;

/// The place that `config` asks for: a bucket, or with the embedded store a folder beside it.
pub(super) fn of(
    config: &Config,
    sdk: &SdkConfig,
    http: &reqwest::Client,
    clock: &Arc<dyn Clock>,
) -> Result<Option<Arc<dyn Staging>>, StartError> {
    match &config.store {
        StoreConfig::Embedded { data_dir } => Ok(folder(data_dir, config, clock)),
        StoreConfig::DynamoDb { .. } => {
            let Some(bucket) = &config.uploads_bucket else {
                return Ok(None);
            };
            let staging = S3Staging::new(http.clone(), sdk, bucket, Arc::clone(clock));
            let staging = staging.map_err(|error| StartError::Staging(error.to_string()))?;
            Ok(Some(Arc::new(staging)))
        }
    }
}

#[cfg(feature = "embedded")]
fn folder(
    data_dir: &std::path::Path,
    config: &Config,
    clock: &Arc<dyn Clock>,
) -> Option<Arc<dyn Staging>> {
    use crate::staging::folder::FolderStaging;

    let host = config.public_url.clone();
    let staging = FolderStaging::new(data_dir, host, Arc::clone(clock));
    Some(Arc::new(staging))
}

#[cfg(not(feature = "embedded"))]
fn folder(_: &std::path::Path, _: &Config, _: &Arc<dyn Clock>) -> Option<Arc<dyn Staging>> {
    None
}
