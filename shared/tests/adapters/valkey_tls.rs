//! The contract of the cache on Valkey behind TLS, with a certificate of a private authority.

use lark_service::cache::CacheError;
use lark_service::cache::contract::{Aged, test_cache_adapter};
use lark_service::cache::valkey::{ValkeyCache, ValkeySettings};

use crate::required;
use crate::valkey::{settings, wait};

fn trusting(root_certificates: Option<Vec<u8>>) -> ValkeySettings {
    let settings = settings(&required("LARK_TEST_VALKEY_TLS_URL"));
    ValkeySettings {
        root_certificates,
        ..settings
    }
}

fn trusting_the_authority() -> ValkeySettings {
    trusting(Some(
        std::fs::read(required("LARK_TEST_VALKEY_TLS_CA")).unwrap(),
    ))
}

test_cache_adapter!(async {
    Aged::new(
        ValkeyCache::connect(&trusting_the_authority()).unwrap(),
        wait,
    )
});

#[tokio::test]
async fn a_private_authority_is_not_trusted_unless_told_so() {
    let cache = ValkeyCache::connect(&trusting(None)).unwrap();
    let error = cache.warm().await.unwrap_err();
    let text = format!("{error:?}");
    assert!(
        matches!(error, CacheError::Unavailable(_)) && text.contains("certificate"),
        "{text}"
    );
}

#[test]
fn unreadable_certificates_are_refused_at_the_start() {
    let pem = b"-----BEGIN CERTIFICATE-----\nnot base64!\n-----END CERTIFICATE-----\n".to_vec();
    assert!(ValkeyCache::connect(&trusting(Some(pem))).is_err());
}
