use aws_sdk_dynamodb::types::builders::{
    GlobalSecondaryIndexDescriptionBuilder, TableDescriptionBuilder,
};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, ContinuousBackupsStatus, PointInTimeRecoveryDescription, Projection,
};

use super::SchemaProblem::{
    AccessDenied, Missing, NoDueIndex, NoPointInTimeRecovery, NoTimeToLive, NotActive, WrongKeys,
};
use super::*;

const S: ScalarAttributeType = ScalarAttributeType::S;
const N: ScalarAttributeType = ScalarAttributeType::N;

fn attribute((name, kind): (&str, ScalarAttributeType)) -> AttributeDefinition {
    let definition = AttributeDefinition::builder().attribute_name(name);
    definition.attribute_type(kind).build().unwrap()
}

/// A partition key, and a sort key if there is a second.
fn keys(names: &[&str]) -> Vec<KeySchemaElement> {
    let roles = [KeyType::Hash, KeyType::Range];
    let key = |(name, role): (&&str, KeyType)| {
        let key = KeySchemaElement::builder().attribute_name(*name);
        key.key_type(role).build().unwrap()
    };
    names.iter().zip(roles).map(key).collect()
}

fn index(kind: ProjectionType) -> GlobalSecondaryIndexDescriptionBuilder {
    GlobalSecondaryIndexDescription::builder()
        .index_name("due")
        .index_status(IndexStatus::Active)
        .set_key_schema(Some(keys(&["due_shard", "due_at"])))
        .projection(Projection::builder().projection_type(kind).build())
}

fn definitions(sort: ScalarAttributeType, due_at: ScalarAttributeType) -> Vec<AttributeDefinition> {
    [
        ("pk", S),
        ("sk", sort),
        ("due_shard", N),
        ("due_at", due_at),
    ]
    .map(attribute)
    .into()
}

fn tokens() -> TableDescriptionBuilder {
    TableDescription::builder()
        .table_status(TableStatus::Active)
        .set_attribute_definitions(Some(definitions(S, N)))
        .set_key_schema(Some(keys(&["pk", "sk"])))
}

fn with_index(due: GlobalSecondaryIndexDescriptionBuilder) -> TableDescriptionBuilder {
    tokens().global_secondary_indexes(due.build())
}

fn right() -> TableDescriptionBuilder {
    with_index(index(ProjectionType::All))
}

fn time_to_live(status: TimeToLiveStatus, attribute: &str) -> Answer<TimeToLiveDescription> {
    let described = TimeToLiveDescription::builder().time_to_live_status(status);
    Answer::Given(described.attribute_name(attribute).build())
}

fn backups(status: PointInTimeRecoveryStatus) -> Answer<ContinuousBackupsDescription> {
    let recovery = PointInTimeRecoveryDescription::builder().point_in_time_recovery_status(status);
    let described = ContinuousBackupsDescription::builder()
        .continuous_backups_status(ContinuousBackupsStatus::Enabled)
        .point_in_time_recovery_description(recovery.build());
    Answer::Given(described.build().unwrap())
}

/// A table with the right settings.
fn set_up(table: TableDescriptionBuilder) -> Description {
    Description {
        table: Answer::Given(table.build()),
        time_to_live: time_to_live(TimeToLiveStatus::Enabled, "ttl"),
        backups: backups(PointInTimeRecoveryStatus::Enabled),
    }
}

fn check(description: &Description, expected: &[SchemaProblem]) {
    assert_eq!(problems(Table::Tokens, description), expected);
}

fn check_table(table: TableDescriptionBuilder, expected: &[SchemaProblem]) {
    check(&set_up(table), expected);
}

#[test]
fn the_schema_as_it_should_be_has_no_problems() {
    check_table(right(), &[]);
}

#[test]
fn only_what_can_be_due_needs_the_index() {
    check_table(tokens(), &[NoDueIndex]);
    for table in Table::ALL {
        let expected: &[_] = if table.has_due_index() {
            &[NoDueIndex]
        } else {
            &[]
        };
        assert_eq!(problems(table, &set_up(tokens())), expected);
    }
}

#[test]
fn keys_of_other_names_roles_or_types_are_wrong() {
    for names in [
        &["id", "sk"][..],
        &["pk", "id"],
        &["sk", "pk"],
        &["pk"],
        &[],
    ] {
        check_table(right().set_key_schema(Some(keys(names))), &[WrongKeys]);
    }
    let numbered = right().set_attribute_definitions(Some(definitions(N, N)));
    check_table(numbered, &[WrongKeys]);
}

#[test]
fn an_index_of_another_name_is_not_ours() {
    check_table(
        with_index(index(ProjectionType::All).index_name("later")),
        &[NoDueIndex],
    );
}

#[test]
fn an_index_with_other_keys_is_none() {
    for names in [
        &["due_at", "due_shard"][..],
        &["due_shard"],
        &["pk", "due_at"],
    ] {
        let index = index(ProjectionType::All).set_key_schema(Some(keys(names)));
        check_table(with_index(index), &[NoDueIndex]);
    }
    let text = right().set_attribute_definitions(Some(definitions(S, S)));
    check_table(text, &[NoDueIndex]);
}

#[test]
fn an_index_that_leaves_attributes_out_is_none() {
    for kind in [ProjectionType::KeysOnly, ProjectionType::Include] {
        check_table(with_index(index(kind)), &[NoDueIndex]);
    }
}

#[test]
fn a_table_being_made_or_deleted_or_without_its_key_is_not_active() {
    for status in [
        TableStatus::Creating,
        TableStatus::Deleting,
        TableStatus::Archived,
        TableStatus::InaccessibleEncryptionCredentials,
    ] {
        check_table(right().table_status(status), &[NotActive]);
    }
    check_table(right().table_status(TableStatus::Updating), &[]);
}

#[test]
fn an_index_being_made_or_deleted_is_not_active() {
    for status in [IndexStatus::Creating, IndexStatus::Deleting] {
        check_table(
            with_index(index(ProjectionType::All).index_status(status)),
            &[NotActive],
        );
    }
    let updated = index(ProjectionType::All).index_status(IndexStatus::Updating);
    check_table(with_index(updated), &[]);
    let unsaid = index(ProjectionType::All).set_index_status(None);
    check_table(with_index(unsaid), &[]);
}

#[test]
fn time_to_live_must_be_on_and_go_by_our_attribute() {
    let check = |described, expected: &[_]| {
        let description = Description {
            time_to_live: described,
            ..set_up(right())
        };
        check(&description, expected);
    };
    check(time_to_live(TimeToLiveStatus::Enabling, "ttl"), &[]);
    let wrong = &[NoTimeToLive];
    check(time_to_live(TimeToLiveStatus::Enabled, "expires_at"), wrong);
    check(time_to_live(TimeToLiveStatus::Disabled, "ttl"), wrong);
    check(time_to_live(TimeToLiveStatus::Disabling, "ttl"), wrong);
    let off = TimeToLiveDescription::builder().time_to_live_status(TimeToLiveStatus::Disabled);
    check(Answer::Given(off.build()), wrong);
}

#[test]
fn the_past_must_be_kept() {
    let off = Description {
        backups: backups(PointInTimeRecoveryStatus::Disabled),
        ..set_up(right())
    };
    check(&off, &[NoPointInTimeRecovery]);
}

#[test]
fn a_table_that_is_not_there_is_just_missing() {
    let gone = Description {
        table: Answer::Missing,
        time_to_live: Answer::Missing,
        backups: Answer::Missing,
    };
    check(&gone, &[Missing]);
    let just_deleted = Description {
        backups: Answer::Missing,
        ..set_up(tokens())
    };
    check(&just_deleted, &[Missing]);
}

#[test]
fn what_may_not_be_seen_is_said_once_beside_what_is_seen() {
    let half_seen = Description {
        time_to_live: Answer::Denied,
        backups: Answer::Denied,
        ..set_up(tokens())
    };
    check(&half_seen, &[AccessDenied, NoDueIndex]);
    let unseen = Description {
        table: Answer::Denied,
        ..set_up(right())
    };
    check(&unseen, &[AccessDenied]);
}

#[test]
fn what_an_emulator_does_not_know_is_not_judged() {
    let emulated = Description {
        time_to_live: Answer::Unsupported,
        backups: Answer::Unsupported,
        ..set_up(right())
    };
    check(&emulated, &[]);
}

#[test]
fn all_that_is_wrong_is_said() {
    let wrong = Description {
        table: Answer::Given(TableDescription::builder().build()),
        time_to_live: time_to_live(TimeToLiveStatus::Disabled, "ttl"),
        backups: backups(PointInTimeRecoveryStatus::Disabled),
    };
    let expected = [
        NotActive,
        WrongKeys,
        NoDueIndex,
        NoTimeToLive,
        NoPointInTimeRecovery,
    ];
    check(&wrong, &expected);
}
