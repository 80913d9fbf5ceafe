use super::*;

fn config(variables: &[(&'static str, &str)]) -> Result<Config, ConfigError> {
    Config::from_lookup(|name| {
        let found = variables.iter().find(|(known, _)| *known == name);
        let table = name.ends_with("_TABLE").then(|| name.to_lowercase());
        found.map(|(_, value)| (*value).to_owned()).or(table)
    })
}

#[track_caller]
fn refused(name: &'static str, value: &str) {
    let error = config(&[(name, value)]).unwrap_err();
    assert_eq!(error.variable, name);
    assert!(!error.problem.contains(value), "{error}");
}

#[test]
fn nothing_set_gives_the_defaults() {
    let config = config(&[("LARK_SERVICE_CACHE_URL", " ")]).unwrap();
    assert!(config.cache.is_none());
    assert_eq!(config.lark.feishu_url.as_str(), "https://open.feishu.cn/");
    assert_eq!(
        (config.lark.timeout, config.store_timeout),
        (Duration::from_secs(30), Duration::from_secs(10))
    );
    assert_eq!(
        (config.cache_timeout, config.user_ttl),
        (Duration::from_secs(5), Duration::from_secs(3_600))
    );
}

#[test]
fn a_bad_value_names_its_variable_and_not_itself() {
    refused("LARK_SERVICE_STORE", "sqlite-with-hunter2");
    refused("LARK_SERVICE_CACHE_URL", "http://hunter2");
    refused("LARK_SERVICE_FEISHU_URL", "https://hunter2.example/path");
    for name in [
        "LARK_SERVICE_FEISHU_URL",
        "LARK_SERVICE_LARK_URL",
        "LARK_SERVICE_FEISHU_ACCOUNTS_URL",
        "LARK_SERVICE_LARK_ACCOUNTS_URL",
        "LARK_SERVICE_PUBLIC_URL",
    ] {
        for plain in [
            "http://open.feishu.cn",
            "http://10.0.0.7:8080",
            "http://127.0.0.1.example",
            "http://localhost.example",
            "http://[2001:db8::1]",
        ] {
            refused(name, plain);
        }
        for own in [
            "http://127.0.0.1:9100",
            "http://127.8.7.6",
            "http://[::1]:9100",
            "http://localhost:9100",
            "http://host.docker.internal:9100",
            "https://proxy.example",
        ] {
            assert!(config(&[(name, own)]).is_ok(), "{name} {own}");
        }
    }
    refused("LARK_SERVICE_LARK_TIMEOUT_MS", "-77");
    refused("LARK_SERVICE_STORE_TIMEOUT_MS", "00");
    refused("LARK_SERVICE_REFRESH_CONCURRENCY", "70000");
    refused("LARK_SERVICE_NOT_FOUND_PER_MINUTE", "-0");
    refused("LARK_SERVICE_LOGINS_PER_MINUTE", "00");
    refused("LARK_SERVICE_NOT_FOUND_PER_DAY", "many");
    refused("LARK_SERVICE_NOT_FOUND_PER_DAY", "4294967295");
}

#[test]
fn an_empty_table_name_is_a_missing_one() {
    let error = config(&[("LARK_SERVICE_TOKENS_TABLE", " ")]).unwrap_err();
    assert_eq!(error.variable, "LARK_SERVICE_TOKENS_TABLE");
}

#[test]
fn queues_come_in_pairs_and_are_fifo() {
    let (normal, bulk) = (
        "LARK_SERVICE_NORMAL_QUEUE_URL",
        "LARK_SERVICE_BULK_QUEUE_URL",
    );
    let url = "https://sqs.eu-central-1.amazonaws.com/123456789012/lark-normal.fifo";
    assert!(config(&[(normal, " ")]).unwrap().queue.is_none());
    for (one, other) in [(normal, bulk), (bulk, normal)] {
        assert_eq!(config(&[(one, url)]).unwrap_err().variable, other);
        for wrong in ["lark-normal.fifo", "https://sqs.example/1/lark-normal"] {
            let error = config(&[(one, wrong), (other, url)]).unwrap_err();
            assert_eq!(error.variable, one);
        }
    }
    let urls = config(&[(normal, url), (bulk, url)]).unwrap().queue;
    assert_eq!(urls.unwrap().normal, url);
}

#[test]
fn iam_needs_the_caches_name() {
    let url = ("LARK_SERVICE_CACHE_URL", "rediss://cache:6379");
    let user = ("LARK_SERVICE_CACHE_IAM_USER", "lark");
    assert_eq!(
        config(&[url, user]).unwrap_err().variable,
        "LARK_SERVICE_CACHE_NAME"
    );
    assert!(config(&[url, user, ("LARK_SERVICE_CACHE_NAME", "c")]).is_ok());
}

#[test]
fn a_cache_on_another_machine_needs_tls_and_a_log_in_unless_the_operator_says_so() {
    let check = |url: &str, others: &[(&'static str, &str)], problem: Option<&str>| {
        let mut variables = vec![("LARK_SERVICE_CACHE_URL", url)];
        variables.extend(others);
        match (config(&variables), problem) {
            (Ok(config), None) => assert!(config.cache.is_some()),
            (Err(error), Some(problem)) => {
                assert_eq!(error.variable, "LARK_SERVICE_CACHE_URL", "{url}");
                assert!(error.problem.contains(problem), "{url}: {error}");
                assert!(error.problem.contains("LARK_SERVICE_CACHE_INSECURE=true"));
            }
            (outcome, _) => panic!("{url}: {:?}", outcome.map(|_| "accepted")),
        }
    };
    let insecure = [("LARK_SERVICE_CACHE_INSECURE", "true")];
    let by_iam = [
        ("LARK_SERVICE_CACHE_IAM_USER", "lark"),
        ("LARK_SERVICE_CACHE_NAME", "c"),
    ];
    for here in ["127.0.0.1", "127.8.8.8", "localhost", "[::1]"] {
        check(&format!("redis://{here}:6379"), &[], None);
        check(&format!("rediss://{here}:6379"), &[], None);
    }
    for there in [
        "cache",
        "10.0.0.7",
        "127.0.0.1.example",
        "[fe80::1]",
        "localhost.example",
    ] {
        let plain = format!("redis://u:p@{there}:6379");
        check(&plain, &[], Some("without TLS"));
        check(&plain, &by_iam, Some("without TLS"));
        check(&plain, &insecure, None);
        let open = format!("rediss://{there}:6379");
        check(&open, &[], Some("without a log-in"));
        check(&open, &insecure, None);
        check(&open, &by_iam, None);
        check(
            &format!("rediss://u@{there}"),
            &[],
            Some("without a log-in"),
        );
        check(
            &format!("rediss://:@{there}"),
            &[],
            Some("without a log-in"),
        );
        check(&format!("rediss://u:p@{there}:6379"), &[], None);
    }
}

#[test]
fn a_url_and_a_secret_with_a_url_are_one_too_many() {
    let secret = ("LARK_SERVICE_CACHE_URL_SECRET", "lark-cache");
    let url = ("LARK_SERVICE_CACHE_URL", "rediss://cache:6379");
    let error = config(&[secret, url]).unwrap_err();
    assert_eq!(error.variable, "LARK_SERVICE_CACHE_URL_SECRET");
    assert!(config(&[secret]).unwrap().cache.is_some());
}

#[test]
fn debug_output_shows_no_secret() {
    let variables = [
        ("AWS_ACCESS_KEY_ID", "id"),
        ("AWS_SECRET_ACCESS_KEY", "hunter2"),
        ("LARK_SERVICE_CACHE_URL", "rediss://:hunter2@h"),
    ];
    assert!(!format!("{:?}", config(&variables).unwrap()).contains("hunter2"));
}
