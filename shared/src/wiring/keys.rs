//! Where the data keys come from.

use std::sync::Arc;

use aws_config::SdkConfig;

use crate::cache::{Cache, CacheClient};
use crate::config::{Config, KeysConfig};
use crate::seal::{KeyFile, KeySource, KmsKeys};
use crate::store::{Storage, Store};

/// The source that `keys` asks for.
pub(super) fn key_source(
    keys: &KeysConfig,
    sdk: &SdkConfig,
    store: &Arc<dyn Store>,
    cache: Option<&Arc<dyn Cache>>,
    config: &Config,
) -> KeySource {
    match keys {
        KeysConfig::Kms(key_id) => {
            let storage = Storage::new(Arc::clone(store), config.store_timeout);
            let cache =
                cache.map(|cache| CacheClient::new(Arc::clone(cache), config.cache_timeout));
            KeySource::Kms(KmsKeys::new(
                aws_sdk_kms::Client::new(sdk),
                key_id.clone(),
                storage,
                cache,
            ))
        }
        KeysConfig::File(path) => KeySource::File(KeyFile::at(path)),
        KeysConfig::Absent => KeySource::Absent,
    }
}
