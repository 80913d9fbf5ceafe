//! The one table of variables. The configuration reads no variable that has no row here; `docs/configuration.md` and
//! `events/env.json` are generated from it.

/// What a reader needs to know of a variable.
#[derive(Clone, Copy, Debug)]
pub(super) struct Variable {
    pub(super) name: &'static str,
    /// Read as if it were set to this, when it is not set.
    pub(super) default: Option<&'static str>,
}

/// A row of the table: a variable as the documents describe it.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The variable's name.
    pub name: &'static str,
    /// Which part of the configuration it belongs to.
    pub part: Part,
    /// Its unit or form, in Markdown.
    pub form: &'static str,
    /// What applies without it.
    pub default: Fallback,
    /// What it means: lines of Markdown, each with a space in front.
    pub meaning: &'static [&'static str],
    /// What `events/env.json` sets it to, if it does.
    pub sample: Option<&'static str>,
}

/// A part of the configuration: a section of `docs/configuration.md`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Part {
    /// Where records are kept, and the keys that seal them.
    Store,
    /// The shared cache.
    Cache,
    /// The queue of messages.
    Queue,
    /// Feishu and Lark.
    Platform,
    /// How the service behaves.
    Behaviour,
    /// What AWS clients need.
    Aws,
}

/// What applies when a variable is not set.
#[derive(Clone, Copy, Debug)]
pub enum Fallback {
    /// It is read as if it were set to this.
    Value(&'static str),
    /// Not a value but a description.
    Otherwise(&'static str),
}

impl Fallback {
    const fn value(self) -> Option<&'static str> {
        match self {
            Self::Value(value) => Some(value),
            Self::Otherwise(_) => None,
        }
    }
}

/// Makes a [`Variable`] of each row, by the variable's own name, and [`VARIABLES`] of all rows. A row:
///
/// ```text
/// /// Its meaning.
/// NAME: "its unit or form", Value("its default") or Otherwise("what holds without it"), sample "for events/env.json";
/// ```
macro_rules! variables {
    ($($part:ident { $(
        $(#[doc = $meaning:literal])+
        $name:ident: $form:literal, $default:ident($text:literal) $(, sample $sample:literal)?;
    )+ })+) => {
        $($(
            $(#[doc = $meaning])+
            pub(super) const $name: Variable = Variable {
                name: stringify!($name),
                default: Fallback::$default($text).value(),
            };
        )+)+

        /// Every variable that the code reads, in the order of `docs/configuration.md`.
        pub const VARIABLES: &[Row] = &[$($(
            Row {
                name: stringify!($name),
                part: Part::$part,
                form: $form,
                default: Fallback::$default($text),
                meaning: &[$($meaning),+],
                sample: variables!(@sample $($sample)?),
            },
        )+)+];
    };
    (@sample) => { None };
    (@sample $sample:literal) => { Some($sample) };
}

variables! {
    Store {
        /// Where records are kept. `embedded` is one file on this machine and is built into the local host and the command
        /// line, not into the functions.
        LARK_SERVICE_STORE: "`dynamodb` or `embedded`", Value("dynamodb"), sample "dynamodb";
        /// With `embedded`: the folder of the database (`store.redb`), the queue (`queue.redb`) and the data keys (`data-keys`,
        /// mode 0600).
        LARK_SERVICE_DATA_DIR: "folder", Value(".data");
        /// Tokens and their refresh state.
        LARK_SERVICE_TOKENS_TABLE: "DynamoDB table name", Otherwise("required with `dynamodb`"), sample "lark-tokens";
        /// Copies of users, departments and chats.
        LARK_SERVICE_DIRECTORY_TABLE: "DynamoDB table name", Otherwise("required with `dynamodb`"), sample "lark-directory";
        /// Registered apps, their secrets sealed.
        LARK_SERVICE_APPS_TABLE: "DynamoDB table name", Otherwise("required with `dynamodb`"), sample "lark-apps";
        /// API keys, hashed.
        LARK_SERVICE_API_KEYS_TABLE: "DynamoDB table name", Otherwise("required with `dynamodb`"), sample "lark-api-keys";
        /// The key ring, encrypted under the KMS key.
        LARK_SERVICE_DATA_KEYS_TABLE: "DynamoDB table name", Otherwise("required with `dynamodb`"), sample "lark-data-keys";
        /// Messages to be delivered, sealed, and what became of them.
        LARK_SERVICE_MESSAGE_JOBS_TABLE: "DynamoDB table name", Otherwise("required with `dynamodb`"), sample "lark-message-jobs";
        /// With `dynamodb`: the key that encrypts the key ring.
        LARK_SERVICE_KMS_KEY_ID: "id, ARN or alias of a KMS key", Otherwise("none"), sample "alias/lark-service";
        /// With `dynamodb` and without a KMS key: the key ring in a file of mode 0600, which is made when it is missing.
        /// Without either, nothing can be sealed or opened, and requests that need it fail with `internal`.
        LARK_SERVICE_KEY_FILE: "file path", Otherwise("none");
        /// The time for one operation of the store, always cut to what is left of the request's deadline. A read is given up
        /// after 2 s in any case (of more than 400 records: 2 s for each 400).
        LARK_SERVICE_STORE_TIMEOUT_MS: "milliseconds, above 0", Value("10000");
        /// The bucket for images and files that are too large for a request. With `LARK_SERVICE_STORE=embedded` they are in the folder
        /// `uploads` beside the store, and this has no effect.
        LARK_SERVICE_UPLOADS_BUCKET: "name of an S3 bucket", Otherwise("none: what is uploaded must fit into a request"), sample "lark-uploads";
    }
    Cache {
        /// Address of Valkey or Redis; `rediss` is TLS. May hold a user and a password; on AWS, keep one with a password in a
        /// secret.
        LARK_SERVICE_CACHE_URL: "`rediss://user:password@host:port`, or `redis://` without TLS", Otherwise("none"), sample "redis://host.docker.internal:6379";
        /// In place of a URL: the secret of AWS Secrets Manager whose text is the URL. It is read when a process starts.
        LARK_SERVICE_CACHE_URL_SECRET: "name or ARN of a secret", Otherwise("none"), sample "";
        /// Whether a cache off this machine may be reached without TLS or without a log-in. Whoever reads that network then sees
        /// which users are looked up, and whoever reaches the cache can empty it and set its limits. Its entries are encrypted and
        /// authenticated in any case.
        LARK_SERVICE_CACHE_INSECURE: "`true` or `false`", Value("false"), sample "true";
        /// Without a URL, the endpoint is looked up by this name through the ElastiCache API. Beside a URL it is needed for
        /// IAM log-in, whose tokens are made for the name.
        LARK_SERVICE_CACHE_NAME: "name of an ElastiCache cache", Otherwise("none"), sample "";
        /// Whether the name is of a serverless cache; IAM tokens must say so.
        LARK_SERVICE_CACHE_SERVERLESS: "`true` or `false`", Value("false"), sample "false";
        /// Whether the cache at the URL speaks the cluster protocol. A looked-up endpoint says so itself.
        LARK_SERVICE_CACHE_CLUSTER: "`true` or `false`", Value("false"), sample "false";
        /// Log in as this user with IAM; needs the name. Without it the log-in is that of the URL, if it has one.
        LARK_SERVICE_CACHE_IAM_USER: "ElastiCache user id", Otherwise("none"), sample "";
        /// The time to connect to the cache, and the upper limit of any operation on it. A read is given up after 50 ms and
        /// a write after 250 ms (of many values at once: 1 s) in any case: the next tier answers.
        LARK_SERVICE_CACHE_TIMEOUT_MS: "milliseconds, above 0", Value("5000");
    }
    Queue {
        /// The queue of messages that somebody waits for. With `LARK_SERVICE_STORE=embedded` the queue is a file beside the store
        /// (`queue.redb`), and this has no effect.
        LARK_SERVICE_NORMAL_QUEUE_URL: "URL of an SQS FIFO queue", Otherwise("none: the function uses no queue"), sample "http://host.docker.internal:4566/000000000000/lark-normal.fifo";
        /// The queue of batches. Both are set, or neither.
        LARK_SERVICE_BULK_QUEUE_URL: "URL of an SQS FIFO queue", Otherwise("none: the function uses no queue"), sample "http://host.docker.internal:4566/000000000000/lark-bulk.fifo";
        /// The time for one operation of the queue; a receive may take its wait in addition.
        LARK_SERVICE_QUEUE_TIMEOUT_MS: "milliseconds, above 0", Value("10000");
    }
    Platform {
        /// The platform of apps with the domain `feishu`.
        LARK_SERVICE_FEISHU_URL: "https origin; http for this machine", Value("https://open.feishu.cn"), sample "http://host.docker.internal:9100";
        /// The platform of apps with the domain `lark`.
        LARK_SERVICE_LARK_URL: "https origin; http for this machine", Value("https://open.larksuite.com"), sample "http://host.docker.internal:9100";
        /// Where users of apps with the domain `feishu` log in.
        LARK_SERVICE_FEISHU_ACCOUNTS_URL: "https origin; http for this machine", Value("https://accounts.feishu.cn"), sample "http://host.docker.internal:9100";
        /// Where users of apps with the domain `lark` log in.
        LARK_SERVICE_LARK_ACCOUNTS_URL: "https origin; http for this machine", Value("https://accounts.larksuite.com"), sample "http://host.docker.internal:9100";
        /// Where codes and refresh tokens are exchanged: `/open-apis/authen/v2/oauth/token` at the platform, or
        /// `/oauth/v3/token` at the accounts address.
        LARK_SERVICE_OAUTH_VERSION: "`v2` or `v3`", Value("v2"), sample "v2";
        /// The service as browsers see it. Logins end there, at `/v1/oauth/callback`, which must be registered with the
        /// platform.
        LARK_SERVICE_PUBLIC_URL: "https origin; http for this machine", Otherwise("the host that the request names, over https"), sample "http://127.0.0.1:9000";
        /// The app of requests that name none, when their key allows several.
        LARK_SERVICE_DEFAULT_APP_ID: "app id", Otherwise("none"), sample "cli_demo000001";
        /// The time for one call of the platform, its repetitions included, always cut to what is left of the request's
        /// deadline.
        LARK_SERVICE_LARK_TIMEOUT_MS: "milliseconds, above 0", Value("30000");
        /// How many calls of most APIs the platform allows each app and tenant in a minute; it documents 1000. All
        /// processes together stay within it through the shared cache: calls wait for their turn, up to ten seconds, and
        /// fail with `rate_limited` if that is not enough. Without the cache each process takes a quarter.
        LARK_SERVICE_LARK_LIMIT_PER_MINUTE: "calls, or 0 for what the platform documents", Value("0");
        /// The same in a second; it documents 50.
        LARK_SERVICE_LARK_LIMIT_PER_SECOND: "calls, or 0 for what the platform documents", Value("0");
    }
    Behaviour {
        /// How long a profile is fresh, give or take a tenth, so that what was filled together does not end together.
        LARK_SERVICE_USER_TTL_SECONDS: "seconds, above 0", Value("3600");
        /// How long it is believed that the platform does not know a user, a department or a chat.
        LARK_SERVICE_USER_ABSENT_TTL_SECONDS: "seconds, above 0", Value("60");
        /// How long a department is fresh, give or take a tenth.
        LARK_SERVICE_DEPARTMENT_TTL_SECONDS: "seconds, above 0", Value("3600");
        /// How long a chat is fresh, give or take a tenth.
        LARK_SERVICE_CHAT_TTL_SECONDS: "seconds, above 0", Value("3600");
        /// How long a page of a list is fresh, give or take a tenth: users of a department, chats, members of a chat.
        LARK_SERVICE_LIST_TTL_SECONDS: "seconds, above 0", Value("300");
        /// The bound of the users, departments, chats and lists that one process keeps in memory.
        LARK_SERVICE_LOCAL_CACHE_BYTES: "bytes, above 0", Value("33554432");
        /// How many logins may be begun in a minute, all browsers together; one address begins 60 at most. Anybody can begin one.
        LARK_SERVICE_LOGINS_PER_MINUTE: "logins, above 0", Value("600");
        /// How many calls of the platform each API key may cause in a minute that find nothing or are refused: for ids, addresses,
        /// tenants and page tokens that do not exist. Searches for a chat's name are counted by themselves, with the same limit.
        /// Beyond that the key is `rate_limited` for whatever would need a call; what is cached is answered.
        LARK_SERVICE_NOT_FOUND_PER_MINUTE: "calls, 1 to 1000000", Value("60");
        /// The same in a day. A day's calls come back one by one.
        LARK_SERVICE_NOT_FOUND_PER_DAY: "calls, 1 to 1000000", Value("1000");
        /// Whether callbacks may go to this machine, over http too: for the local host and for tests. Elsewhere they go to public
        /// addresses over https, and to nothing else.
        LARK_SERVICE_CALLBACKS_TO_LOOPBACK: "`true` or `false`", Value("false");
        /// How many tokens one run of the scheduled refresh works on at a time.
        LARK_SERVICE_REFRESH_CONCURRENCY: "1 to 65535", Value("64");
        /// The least severe log lines that are written.
        LARK_SERVICE_LOG: "`error`, `warn`, `info`, `debug`, `trace` or `off`", Value("info"), sample "info";
    }
    Aws {
        /// The region of the tables, the key and the cache. IAM log-in to the cache needs it.
        AWS_REGION: "region, such as `eu-central-1`", Otherwise("the SDK's search");
        /// An emulator in place of AWS, for every AWS service. The template declares it, so that `sam local` hands it on.
        LARK_SERVICE_AWS_ENDPOINT_URL: "URL", Otherwise("`AWS_ENDPOINT_URL`"), sample "http://host.docker.internal:4566";
        /// The same, where nothing stands in between.
        AWS_ENDPOINT_URL: "URL", Otherwise("AWS itself");
        /// Credentials; used together with the next one.
        AWS_ACCESS_KEY_ID: "text", Otherwise("the SDK's search");
        /// Credentials.
        AWS_SECRET_ACCESS_KEY: "text", Otherwise("the SDK's search");
        /// Credentials that end, such as those of a Lambda function.
        AWS_SESSION_TOKEN: "text", Otherwise("none");

    }
}
