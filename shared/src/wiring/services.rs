//! How the services depend on each other.

use std::sync::Arc;

use super::Adapters;
use crate::api_keys::ApiKeys;
use crate::apps::Apps;
use crate::cache::CacheClient;
use crate::callbacks::{Callbacks, Loopback};
use crate::clock::Clock;
use crate::config::Config;
use crate::directory::chats::ChatService;
use crate::directory::departments::DepartmentService;
use crate::directory::guard::{Guard, UserCount};
use crate::directory::popularity::Popularity;
use crate::directory::tiers::{TierSettings, Tiers};
use crate::directory::users::UserService;
use crate::directory::warm_up::Warmer;
use crate::idempotency::Claims;
use crate::lark::LarkClient;
use crate::limiter::{Limiter, Pacer};
use crate::logins::Logins;
use crate::meter::Meter;
use crate::mirror::Mirror;
use crate::platform::Platform;
use crate::seal::Sealer;
use crate::sealed_cache::SealedCache;
use crate::store::Storage;
use crate::tokens::TokenService;

/// What every service depends on.
pub(super) struct Base {
    pub(super) storage: Storage,
    pub(super) cache: Option<CacheClient>,
    pub(super) sealed: Option<SealedCache>,
    pub(super) sealer: Sealer,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) limiter: Limiter,
    pub(super) meter: Meter,
    pub(super) lark: LarkClient,
    pub(super) apps: Apps,
    pub(super) tokens: TokenService,
    pub(super) platform: Platform,
}

impl Base {
    pub(super) fn new(config: &Config, adapters: &Adapters) -> Self {
        let clock = Arc::clone(&adapters.clock);
        let storage = Storage::new(Arc::clone(&adapters.store), config.store_timeout);
        let cache = adapters.cache.as_ref();
        let cache = cache.map(|it| CacheClient::new(Arc::clone(it), config.cache_timeout));
        let sealer = Sealer::clone(&adapters.keys);
        let limiter = Limiter::new(cache.clone(), Arc::clone(&clock));
        let meter = Meter::new(storage.clone(), cache.clone(), Arc::clone(&clock));
        let lark = LarkClient::new(
            adapters.http.clone(),
            config.lark.clone(),
            Pacer::new(cache.clone(), Arc::clone(&clock)),
            meter.clone(),
        );
        let sealed = cache.clone();
        let sealed = sealed.map(|it| SealedCache::new(it, sealer.clone(), Arc::clone(&clock)));
        let mirror = Mirror::new(storage.clone(), sealed.clone());
        let apps = Apps::new(mirror, sealer.clone(), Arc::clone(&clock));
        let tokens = TokenService::new(
            lark.clone(),
            apps.clone(),
            storage.clone(),
            sealed.clone(),
            sealer.clone(),
            Arc::clone(&clock),
        );
        let platform = Platform::new(lark.clone(), tokens.clone());
        Self {
            storage,
            cache,
            sealed,
            sealer,
            clock,
            limiter,
            meter,
            lark,
            apps,
            tokens,
            platform,
        }
    }

    /// Requests that are done once.
    pub(super) fn claims(&self) -> Claims {
        let (storage, sealer) = (self.storage.clone(), self.sealer.clone());
        Claims::new(storage, sealer, Arc::clone(&self.clock))
    }
}

pub(super) fn callbacks(config: &Config, base: &Base, api_keys: &ApiKeys) -> Callbacks {
    let loopback = if config.callbacks_to_loopback {
        Loopback::Allowed
    } else {
        Loopback::Refused
    };
    Callbacks::new(
        api_keys.clone(),
        base.sealer.clone(),
        Arc::clone(&base.clock),
        loopback,
    )
}

pub(super) fn logins(base: &Base) -> Logins {
    Logins::new(
        base.lark.clone(),
        base.apps.clone(),
        base.tokens.clone(),
        base.storage.clone(),
        base.sealer.clone(),
        Arc::clone(&base.clock),
    )
}

/// The services that read the directory.
pub(super) struct Directory {
    pub(super) tiers: Tiers,
    pub(super) users: UserService,
    pub(super) departments: DepartmentService,
    pub(super) chats: ChatService,
    pub(super) warmer: Warmer,
}

impl Directory {
    pub(super) fn new(config: &Config, base: &Base) -> Self {
        let (cache, clock) = (base.cache.clone(), Arc::clone(&base.clock));
        let settings = TierSettings {
            user_ttl: config.user_ttl,
            department_ttl: config.department_ttl,
            chat_ttl: config.chat_ttl,
            list_ttl: config.list_ttl,
            absent_ttl: config.user_absent_ttl,
            local_cache_bytes: config.local_cache_bytes,
        };
        let sealed = base.sealed.clone();
        let tiers = Tiers::new(base.storage.clone(), sealed.clone(), clock, settings);
        let platform = base.platform.clone();
        let clock = || Arc::clone(&base.clock);
        let user_count = UserCount::new(platform.clone(), clock());
        let guard = Guard::new(
            sealed.clone(),
            base.limiter.clone(),
            user_count.clone(),
            clock(),
        );
        let popularity = Popularity::new(cache, clock());
        let users = UserService::new(
            platform.clone(),
            tiers.clone(),
            guard.clone(),
            popularity.clone(),
        );
        let background = platform.in_background();
        let warmer = Warmer {
            apps: base.apps.clone(),
            tokens: base.tokens.clone(),
            users: users.through(background.clone()),
            platform: background,
            tiers: tiers.clone(),
            guard,
            user_count,
            popularity,
            meter: base.meter.clone(),
            storage: base.storage.clone(),
            cache: sealed,
            clock: clock(),
        };
        let departments = DepartmentService::new(platform.clone(), tiers.clone());
        let chats = ChatService::new(platform, tiers.clone());
        Self {
            tiers,
            users,
            departments,
            chats,
            warmer,
        }
    }
}
