//! The boundary of the deployment: what `template.yaml` opens, and to whom. What each function may do with the tables and keys
//! is tried by `scripts/permissions.py`.

use std::collections::BTreeSet;
use std::path::Path;

use serde_yaml_ng::Value;

fn text() -> String {
    let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("../template.yaml");
    std::fs::read_to_string(template).expect("the template")
}

fn template() -> Value {
    serde_yaml_ng::from_str(&text()).expect("the template is YAML")
}

/// The resources of `kind`, with their names.
fn resources(template: &Value, kind: &str) -> Vec<(String, Value)> {
    let resources = template["Resources"].as_mapping().into_iter().flatten();
    let of_kind = resources.filter(|(_, resource)| resource["Type"] == kind);
    of_kind
        .map(|(name, resource)| (text_of(name), resource.clone()))
        .collect()
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The elements of a list, or the one value that stands for a list of one.
fn listed(value: &Value) -> Vec<String> {
    match value.as_sequence() {
        Some(values) => values.iter().map(text_of).collect(),
        None => vec![text_of(value)],
    }
}

/// Every statement of a policy anywhere below `value`.
fn statements(value: &Value, found: &mut Vec<Value>) {
    match value {
        Value::Mapping(entries) => {
            if entries.contains_key("Effect") {
                found.push(value.clone());
            }
            entries.values().for_each(|value| statements(value, found));
        }
        Value::Sequence(values) => values.iter().for_each(|value| statements(value, found)),
        Value::Tagged(tagged) => statements(&tagged.value, found),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// What functions may do: their own statements and those that they share.
fn permissions(template: &Value) -> Vec<Value> {
    let mut found = Vec::new();
    for kind in ["AWS::Serverless::Function", "AWS::IAM::ManagedPolicy"] {
        for (_, resource) in resources(template, kind) {
            statements(&resource["Properties"], &mut found);
        }
    }
    found
}

fn yaml(value: &Value) -> String {
    serde_yaml_ng::to_string(value).expect("YAML")
}

#[test]
fn the_address_of_a_foreign_cache_is_shown_nowhere() {
    let template = template();
    let url = &template["Parameters"]["CacheUrl"];
    assert_eq!(url["NoEcho"], true);
    // No user and no password in it: those are in a secret, which only functions read.
    assert_eq!(url["AllowedPattern"], "(rediss?://[^ @]+)?");
    let outputs = yaml(&template["Outputs"]);
    for shown in ["!Ref CacheUrl", "!Ref CacheUrlSecretArn", "${CacheUrl"] {
        assert!(!outputs.contains(shown), "an output shows {shown}");
    }
}

#[test]
fn each_route_without_a_key_has_a_throttle_of_its_own() {
    let template = template();
    let mut public = BTreeSet::new();
    for (_, function) in resources(&template, "AWS::Serverless::Function") {
        let events = function["Properties"]["Events"].as_mapping();
        for event in events.into_iter().flat_map(|events| events.values()) {
            let route = &event["Properties"];
            if route["Auth"]["Authorizer"] == "NONE" {
                public.insert(format!(
                    "{} {}",
                    text_of(&route["Method"]),
                    text_of(&route["Path"])
                ));
            }
        }
    }
    let throttles = &template["Resources"]["Api"]["Properties"]["RouteSettings"];
    let throttles = throttles.as_mapping().expect("throttles of routes");
    for (route, settings) in throttles {
        let settings = yaml(settings);
        assert!(settings.contains("PublicRateLimit"), "{route:?}");
        assert!(settings.contains("PublicBurstLimit"), "{route:?}");
    }
    let throttled: BTreeSet<_> = throttles.keys().map(text_of).collect();
    assert_eq!(throttled, public);
}

#[test]
fn the_default_endpoint_can_be_closed() {
    let api = &template()["Resources"]["Api"]["Properties"]["DisableExecuteApiEndpoint"];
    assert!(yaml(api).contains("ClosesDefaultEndpoint"));
}

#[test]
fn logs_outlive_the_stack() {
    let groups = resources(&template(), "AWS::Logs::LogGroup");
    assert_eq!(groups.len(), 2);
    for (name, group) in groups {
        assert_eq!(group["DeletionPolicy"], "RetainExceptOnCreate", "{name}");
        assert_eq!(group["UpdateReplacePolicy"], "Retain", "{name}");
    }
}

#[test]
fn only_https_leaves_for_anywhere() {
    let text = text();
    let rules: Vec<_> = text
        .split("IpProtocol: ")
        .skip(1)
        .filter(|rule| rule.lines().take(4).any(|line| line.contains("0.0.0.0/0")))
        .collect();
    assert_eq!(rules.len(), 1);
    assert!(rules[0].contains("FromPort: 443\n"), "{}", rules[0]);
}

#[test]
fn the_way_to_the_tables_leads_to_no_others() {
    let template = template();
    let endpoint = &template["Resources"]["DynamoDbEndpoint"]["Properties"]["PolicyDocument"];
    let mut found = Vec::new();
    statements(endpoint, &mut found);
    assert_eq!(found.len(), 1);
    assert_ne!(found[0]["Resource"], "*");
    assert!(yaml(&found[0]["Condition"]).contains("aws:PrincipalAccount"));
    assert!(
        listed(&found[0]["Action"])
            .iter()
            .all(|action| !action.contains('*'))
    );
    // Whatever a function may do there goes through it.
    let open: Vec<_> = listed(&found[0]["Action"]);
    for statement in permissions(&template) {
        for action in listed(&statement["Action"]) {
            let is_through = !action.starts_with("dynamodb:") || open.contains(&action);
            assert!(is_through, "{action} does not get through the endpoint");
        }
    }
}

#[test]
fn no_function_may_do_everything_to_anything() {
    for statement in permissions(&template()) {
        let actions = listed(&statement["Action"]);
        assert!(
            actions.iter().all(|action| !action.contains('*')),
            "{actions:?}"
        );
        assert_ne!(statement["Resource"], "*", "{actions:?}");
    }
}

#[test]
fn queues_are_encrypted_and_open_to_nobody_from_elsewhere() {
    let template = template();
    let queues = resources(&template, "AWS::SQS::Queue");
    assert_eq!(queues.len(), 4);
    let [(_, policy)] = &resources(&template, "AWS::SQS::QueuePolicy")[..] else {
        panic!("one policy for all queues");
    };
    let properties = &policy["Properties"];
    let covered: BTreeSet<_> = listed(&properties["Queues"]).into_iter().collect();
    for (name, queue) in &queues {
        assert_eq!(queue["Properties"]["SqsManagedSseEnabled"], true, "{name}");
        assert!(covered.contains(name), "{name} has no policy");
    }
    let mut found = Vec::new();
    statements(&properties["PolicyDocument"], &mut found);
    let conditions: Vec<_> = found.iter().map(|it| yaml(&it["Condition"])).collect();
    for refused in [
        "aws:SecureTransport: 'false'",
        "StringNotEquals:\n  aws:PrincipalAccount",
    ] {
        let is_refused = conditions.iter().any(|it| it.contains(refused));
        assert!(is_refused, "{refused} is not refused: {conditions:?}");
    }
    for statement in found {
        assert_eq!(statement["Effect"], "Deny");
        assert_eq!(
            (&statement["Principal"], &statement["Action"]),
            (&"*".into(), &"sqs:*".into())
        );
    }
}

/// What was measured: a wait counts as a reception, and with a low limit good messages die; groups share what is not theirs.
#[test]
fn a_message_dies_after_a_thousand_receptions_and_rests_for_two_weeks() {
    let template = template();
    for (name, queue) in resources(&template, "AWS::SQS::Queue") {
        let properties = &queue["Properties"];
        assert_eq!(properties["FifoQueue"], true, "{name}");
        assert_eq!(
            properties["FifoThroughputLimit"], "perMessageGroupId",
            "{name}"
        );
        assert_eq!(properties["DeduplicationScope"], "messageGroup", "{name}");
        assert_eq!(
            properties["MessageRetentionPeriod"],
            14 * 24 * 60 * 60,
            "{name}"
        );
        let redrive = &properties["RedrivePolicy"];
        if name.contains("DeadLetter") {
            assert!(redrive.is_null(), "{name}");
        } else {
            assert_eq!(redrive["maxReceiveCount"], 1_000, "{name}");
            let letters = yaml(&redrive["deadLetterTargetArn"]);
            let own = name.replace("Queue", "DeadLetterQueue.Arn");
            assert!(letters.contains(&own), "{name}: {letters}");
        }
    }
}

#[test]
fn what_is_uploaded_is_private_encrypted_and_soon_gone() {
    let template = template();
    let [(_, bucket)] = &resources(&template, "AWS::S3::Bucket")[..] else {
        panic!("one bucket");
    };
    let properties = &bucket["Properties"];
    let blocked = properties["PublicAccessBlockConfiguration"].as_mapping();
    let blocked = blocked.expect("what is blocked");
    assert!(blocked.len() == 4 && blocked.values().all(|it| *it == true));
    assert!(yaml(&properties["BucketEncryption"]).contains("AES256"));
    assert!(yaml(&properties["OwnershipControls"]).contains("BucketOwnerEnforced"));
    let rule = &properties["LifecycleConfiguration"]["Rules"][0];
    assert_eq!(rule["Status"], "Enabled");
    assert_eq!(rule["ExpirationInDays"], 1);
    let [(_, policy)] = &resources(&template, "AWS::S3::BucketPolicy")[..] else {
        panic!("one policy");
    };
    let policy = yaml(&policy["Properties"]["PolicyDocument"]);
    assert!(policy.contains("aws:SecureTransport: 'false'"), "{policy}");
    let mut actions = Vec::new();
    for statement in permissions(&template) {
        let resource = yaml(&statement["Resource"]);
        if resource.contains("UploadsBucket") {
            assert!(resource.contains("/staged/*"), "{resource}");
            actions.push(listed(&statement["Action"]).join(" "));
        }
    }
    actions.sort();
    // One who makes addresses, and one policy for those who read what was put there.
    assert_eq!(actions, ["s3:GetObject s3:DeleteObject", "s3:PutObject"]);
}

/// Copies of the directory have one writer, and the index of due tokens cannot be split.
const UNDIVIDED: [&str; 2] = ["DirectoryTable", "/index/due"];

#[test]
fn no_function_may_write_a_whole_table() {
    for statement in permissions(&template()) {
        let resource = yaml(&statement["Resource"]);
        let is_of_tables = listed(&statement["Action"])
            .iter()
            .any(|action| action.starts_with("dynamodb:"));
        if !is_of_tables || UNDIVIDED.iter().any(|part| resource.contains(part)) {
            continue;
        }
        let condition = &statement["Condition"];
        let limits = ["StringLike", "StringEquals", "StringNotLike"].map(|operator| {
            !condition[format!("ForAllValues:{operator}").as_str()]["dynamodb:LeadingKeys"]
                .is_null()
        });
        assert!(limits.contains(&true), "{}", yaml(&statement));
        // Without it, a request that names no partition would pass.
        assert_eq!(
            condition["Null"]["dynamodb:LeadingKeys"],
            "false",
            "{}",
            yaml(&statement)
        );
    }
}

#[test]
fn no_function_may_make_or_change_data_keys() {
    for statement in permissions(&template()) {
        let resource = yaml(&statement["Resource"]);
        let actions = listed(&statement["Action"]);
        if resource.contains("DataKeysTable") {
            assert_eq!(actions, ["dynamodb:GetItem"]);
        }
        if resource.contains("SecretsKey") {
            assert_eq!(actions, ["kms:Decrypt"]);
            assert!(yaml(&statement["Condition"]).contains("kms:EncryptionContext:service"));
        }
    }
}
