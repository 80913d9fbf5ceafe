//! What a caller does when a connection had to be opened for its request.
//!
//! Opening one takes from a millisecond to seconds, and the moment at which the request was to go out may have passed meanwhile. So
//! its sender is told, and the request goes out when it is ready again.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use tower_layer::Layer;
use tower_service::Service;

tokio::task_local! {
    static SENDER: Arc<dyn Opened>;
}

/// The sender of a request.
pub trait Opened: Send + Sync {
    /// A connection was opened for the request, which goes out when this ends. If another connection came free first, the
    /// request may have gone out already.
    fn opened(self: Arc<Self>) -> BoxFuture<'static, ()>;
}

/// Does `request`, and tells `sender` when a connection was opened for it.
pub async fn telling<T>(sender: Arc<dyn Opened>, request: impl Future<Output = T>) -> T {
    SENDER.scope(sender, request).await
}

/// The layer of an HTTP client's connector that tells the sender of a request.
#[derive(Clone, Copy, Debug)]
pub struct TellLayer;

/// A connector that tells the sender of a request.
#[derive(Clone)]
pub struct Telling<C>(C);

impl<C> Layer<C> for TellLayer {
    type Service = Telling<C>;

    fn layer(&self, connector: C) -> Self::Service {
        Telling(connector)
    }
}

impl<C> fmt::Debug for Telling<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telling").finish_non_exhaustive()
    }
}

impl<C, T> Service<T> for Telling<C>
where
    C: Service<T, Future: Send + 'static, Response: Send, Error: Send>,
{
    type Response = C::Response;
    type Error = C::Error;
    type Future = BoxFuture<'static, Result<C::Response, C::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), C::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, to: T) -> Self::Future {
        let sender = SENDER.try_with(Arc::clone).ok();
        let opening = self.0.call(to);
        Box::pin(async move {
            let connection = opening.await?;
            if let Some(sender) = sender {
                sender.opened().await;
            }
            Ok(connection)
        })
    }
}
