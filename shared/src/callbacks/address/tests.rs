use super::*;

fn is_taken(text: &str) -> bool {
    parse(text, Loopback::Refused).is_ok()
}

#[test]
fn public_addresses_are_taken() {
    for text in [
        "https://example.com",
        "https://example.com/",
        "https://example.com/callbacks?tenant=a&b=c",
        "https://example.com:443/x",
        "https://example.com:8443/x",
        "https://example.com:1024/",
        "https://a.b.c.example.co.uk/x",
        "https://xn--bcher-kva.example/",
        "https://8.8.8.8/x",
        "https://[2606:4700::1111]/x",
        "https://[2001:4860:4860::8888]:8443/x",
        "HTTPS://EXAMPLE.COM/X",
        "https://localhost.example.com/",
        "https://internal.example.com/",
    ] {
        assert!(is_taken(text), "{text}");
    }
}

/// What is no public https address.
const REFUSED: &[&str] = &[
    // Other schemes.
    "",
    " ",
    "example.com",
    "//example.com/",
    "http://example.com/",
    "ftp://example.com/",
    "file:///etc/passwd",
    "gopher://example.com/",
    "javascript:alert(1)",
    "data:text/plain,x",
    "https:",
    "https://",
    "https:///x",
    // Users, passwords, fragments, and what readers of addresses disagree about.
    "https://user@example.com/",
    "https://user:password@example.com/",
    "https://:@example.com/",
    "https://@example.com/",
    "https://example.com@169.254.169.254/",
    "https://169.254.169.254\\@example.com/",
    "https://example.com/#x",
    "https://example.com/a b",
    "https://example.com/\t",
    "https://example.com/\n",
    "https://exämple.com/",
    "https://example.com\\.internal/",
    // Ports of other protocols.
    "https://example.com:0/",
    "https://example.com:22/",
    "https://example.com:25/",
    "https://example.com:80/",
    "https://example.com:1023/",
    "https://example.com:65536/",
    // Names of machines inside.
    "https://localhost/",
    "https://LOCALHOST/",
    "https://localhost./",
    "https://x.localhost/",
    "https://intranet/",
    "https://metadata/",
    "https://metadata.google.internal/",
    "https://db.internal/",
    "https://printer.local/",
    "https://x.home.arpa/",
    "https://x.lan/",
    "https://x.corp/",
    "https://x.onion/",
    "https://x.internal./",
    // This machine, in every spelling.
    "https://127.0.0.1/",
    "https://127.1/",
    "https://127.255.255.254/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0x7f.1/",
    "https://0177.0.0.1/",
    "https://0/",
    "https://0.0.0.0/",
    "https://[::1]/",
    "https://[::]/",
    "https://[0:0:0:0:0:0:0:1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:7f00:1]/",
    "https://[::127.0.0.1]/",
    "https://%31%32%37.0.0.1/",
    "https://１２７.0.0.1/",
    // Networks inside.
    "https://10.0.0.1/",
    "https://172.16.0.1/",
    "https://172.31.255.255/",
    "https://192.168.1.1/",
    "https://100.64.0.1/",
    "https://100.100.100.200/",
    "https://100.127.255.255/",
    "https://[fc00::1]/",
    "https://[fd12:3456::1]/",
    "https://[fe80::1]/",
    "https://[fec0::1]/",
    // Metadata services.
    "https://169.254.169.254/latest/meta-data/",
    "https://169.254.170.2/",
    "https://2852039166/",
    "https://0xa9fea9fe/",
    "https://[fd00:ec2::254]/",
    "https://[::ffff:169.254.169.254]/",
    "https://[64:ff9b::a9fe:a9fe]/",
    "https://[64:ff9b:1::a9fe:a9fe]/",
    "https://[2002:a9fe:a9fe::1]/",
    "https://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/",
    // Multicast, broadcast, reserved, documentation, benchmarks.
    "https://224.0.0.1/",
    "https://239.255.255.250/",
    "https://255.255.255.255/",
    "https://240.0.0.1/",
    "https://192.0.0.8/",
    "https://192.0.2.1/",
    "https://198.18.0.1/",
    "https://198.19.255.255/",
    "https://198.51.100.1/",
    "https://203.0.113.1/",
    "https://192.88.99.1/",
    "https://[ff02::1]/",
    "https://[2001:db8::1]/",
    "https://[3fff::1]/",
    "https://[100::1]/",
    "https://[5f00::1]/",
    "https://[::ffff:0:8.8.8.8]/",
    "https://[::ffff:8.8.8.8]/",
    "https://[fe80::1%25eth0]/",
];

#[test]
fn what_is_no_public_https_address_is_refused() {
    for text in REFUSED {
        assert!(!is_taken(text), "{text}");
    }
    assert!(!is_taken(&format!(
        "https://example.com/{}",
        "x".repeat(MAX_BYTES)
    )));
}

#[test]
fn a_network_begins_and_ends_where_the_registry_says() {
    for (address, public) in [
        ("0.255.255.255", false),
        ("1.0.0.0", true),
        ("9.255.255.255", true),
        ("10.0.0.0", false),
        ("10.255.255.255", false),
        ("11.0.0.0", true),
        ("100.63.255.255", true),
        ("100.64.0.0", false),
        ("100.127.255.255", false),
        ("100.128.0.0", true),
        ("126.255.255.255", true),
        ("128.0.0.0", true),
        ("169.253.255.255", true),
        ("169.255.0.0", true),
        ("172.15.255.255", true),
        ("172.32.0.0", true),
        ("192.0.1.0", true),
        ("192.167.255.255", true),
        ("192.169.0.0", true),
        ("198.17.255.255", true),
        ("198.20.0.0", true),
        ("223.255.255.255", true),
        ("224.0.0.0", false),
        ("1fff::1", false),
        ("2000::1", true),
        ("2001:1ff::1", false),
        ("2001:200::1", true),
        ("2001:db7::1", true),
        ("2001:db9::1", true),
        ("2003::1", true),
        ("2620:4f:8000::1", false),
        ("2620:4f:8001::1", true),
        ("3ffe::1", false),
        ("3fff:fff::1", false),
        ("3fff:1000::1", true),
        ("4000::1", false),
    ] {
        assert_eq!(is_public(address.parse().unwrap()), public, "{address}");
    }
}

#[test]
fn this_machine_is_reached_only_where_that_is_allowed_and_nothing_else_is_opened_by_it() {
    for (text, is_right) in [
        ("http://127.0.0.1:9999/x", true),
        ("http://localhost:9999/x", true),
        ("http://[::1]:9999/x", true),
        ("https://localhost/x", true),
        ("ftp://localhost/x", false),
        ("http://user@localhost/x", false),
        ("http://10.0.0.1/x", false),
        ("https://10.0.0.1/x", false),
        ("http://example.com/x", false),
        ("https://169.254.169.254/", false),
    ] {
        assert_eq!(parse(text, Loopback::Allowed).is_ok(), is_right, "{text}");
    }
    for (address, is_right) in [
        ("127.0.0.1", true),
        ("::1", true),
        ("8.8.8.8", true),
        ("10.0.0.1", false),
        ("169.254.169.254", false),
        ("0.0.0.0", false),
    ] {
        let address = address.parse().unwrap();
        assert_eq!(
            may_connect(address, Loopback::Allowed),
            is_right,
            "{address}"
        );
        let is_public = is_public(address);
        assert_eq!(
            may_connect(address, Loopback::Refused),
            is_public,
            "{address}"
        );
    }
}
