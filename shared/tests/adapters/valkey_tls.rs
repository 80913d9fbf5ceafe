//! Valkey behind TLS with a private authority's certificate.

use std::sync::Arc;
use std::time::Duration;

use lark_service::cache::valkey::{ValkeyCache, ValkeySettings};
use lark_service::cache::{Cache, CacheError};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::server::Server;
use crate::valkey::settings;

const LONG: Duration = Duration::from_secs(600);

/// Speaks TLS for a server that does not, as `localhost`, until it is dropped.
struct TlsFront {
    port: u16,
    authority_pem: String,
    accepting: JoinHandle<()>,
}

impl TlsFront {
    #[expect(clippy::disallowed_methods, reason = "the other end of the connection")]
    async fn of(server: &Server) -> Self {
        let (authority_pem, config) = certificates();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, behind) = (listener.local_addr().unwrap().port(), server.port());
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(mut client) = acceptor.accept(client).await else {
                        return;
                    };
                    let mut server = TcpStream::connect(("127.0.0.1", behind)).await.unwrap();
                    let _ = copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
        Self {
            port,
            authority_pem,
            accepting,
        }
    }

    fn settings(&self, host: &str) -> ValkeySettings {
        ValkeySettings {
            root_certificates: Some(self.authority_pem.clone().into_bytes()),
            ..settings(&format!("rediss://{host}:{}", self.port))
        }
    }
}

impl Drop for TlsFront {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// An authority, and what a server with a certificate of it for `localhost` needs.
fn certificates() -> (String, ServerConfig) {
    let mut authority = CertificateParams::new([]).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let server = CertificateParams::new(["localhost".to_owned()])
        .unwrap()
        .signed_by(&key, &authority)
        .unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![server.der().clone()], key)
        .unwrap();
    (authority.pem(), config)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_the_authoritys_certificate_is_trusted() {
    let server = Server::start(&[]).await;
    let front = TlsFront::of(&server).await;
    let cache = ValkeyCache::connect(&front.settings("localhost")).unwrap();
    cache.put("key", b"value", LONG).await.unwrap();
    assert_eq!(
        cache.get("key").await.unwrap().as_deref(),
        Some(b"value".as_slice())
    );
    let plain = ValkeyCache::connect(&settings(&server.url())).unwrap();
    assert_eq!(
        plain.get("key").await.unwrap().as_deref(),
        Some(b"value".as_slice())
    );
}

async fn is_not_trusted(settings: &ValkeySettings) {
    let error = ValkeyCache::connect(settings)
        .unwrap()
        .warm()
        .await
        .unwrap_err();
    let text = format!("{error:?}");
    assert!(
        matches!(error, CacheError::Unavailable(_)) && text.contains("certificate"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_for_another_name_is_not_trusted() {
    let server = Server::start(&[]).await;
    let front = TlsFront::of(&server).await;
    is_not_trusted(&front.settings("127.0.0.1")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_authority_is_not_trusted_unless_told_so() {
    let server = Server::start(&[]).await;
    let front = TlsFront::of(&server).await;
    is_not_trusted(&ValkeySettings {
        root_certificates: None,
        ..front.settings("localhost")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_certificates_are_refused_at_the_start() {
    let server = Server::start(&[]).await;
    let pem = b"-----BEGIN CERTIFICATE-----\nnot base64!\n-----END CERTIFICATE-----\n".to_vec();
    let settings = ValkeySettings {
        root_certificates: Some(pem),
        ..settings(&server.url().replace("redis:", "rediss:"))
    };
    assert!(ValkeyCache::connect(&settings).is_err());
}
