use super::*;

const API: &str = "
Globals: { Function: { Timeout: 29, MemorySize: !Ref MemorySize } }
Resources:
  Api:
    Type: AWS::Serverless::HttpApi
    Properties:
      Auth:
        DefaultAuthorizer: ApiKey
        Authorizers:
          ApiKey:
            FunctionArn: !GetAtt AuthorizeFunction.Arn
            Identity: { Headers: [Authorization], ReauthorizeEvery: 300 }
  AuthorizeFunction:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: target/lambda/authorize/
      Timeout: 10
      Policies: [!If [Cond, !Ref Access, !Ref AWS::NoValue]]
";

const USERS: &str = "
  GetUserFunction:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: target/lambda/get-user/
      Environment: { Variables: { URL: !Sub 'https://${Api}' } }
      Events:
";

fn parse(events: &str) -> Result<Template, String> {
    let indented: String = events
        .lines()
        .map(|line| format!("        {line}\n"))
        .collect();
    let text = format!("{API}{USERS}{indented}");
    Template::parse(Path::new("t.yaml"), &text).map_err(|error| error.to_string())
}

fn get_user(events: &str) -> Function {
    let functions = parse(events).unwrap().functions;
    let found = functions.into_iter().find(|f| f.name == "get-user");
    found.unwrap()
}

fn check_error(events: &str, expected: &str) {
    let error = parse(events).unwrap_err();
    assert!(error.contains(expected), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
}

#[test]
fn a_route_has_the_default_authorizer_unless_it_says_none() {
    let function = get_user(
        "A: { Type: HttpApi, Properties: { ApiId: !Ref Api, Method: get, Path: '/v1/users/{id}' } }
B: { Type: HttpApi, Properties: { Method: ANY, Path: /open, Auth: { Authorizer: NONE } } }",
    );
    let [private, public] = &function.routes[..] else {
        panic!("{function:?}")
    };
    assert_eq!(private.to_string(), "GET /v1/users/{id}");
    let authorizer = private.authorizer.as_ref().unwrap();
    assert_eq!(
        (authorizer.function.as_str(), authorizer.ttl.as_secs()),
        ("authorize", 300)
    );
    assert_eq!(public.to_string(), "ANY /open");
    assert_eq!(public.authorizer, None);
}

#[test]
fn a_timeout_is_the_functions_own_or_the_global_one() {
    let template = parse("{}").unwrap();
    let timeouts: Vec<_> = template
        .functions
        .iter()
        .map(|f| (f.name.as_str(), f.timeout.as_secs()))
        .collect();
    assert_eq!(timeouts, [("authorize", 10), ("get-user", 29)]);
}

#[test]
fn both_kinds_of_schedule_are_read() {
    let function = get_user(
        "A: { Type: Schedule, Properties: { Schedule: rate(5 minutes) } }
B: { Type: ScheduleV2, Properties: { ScheduleExpression: rate(1 hour), Input: !Sub '${Api}' } }",
    );
    let seconds: Vec<_> = function.schedules.iter().map(Duration::as_secs).collect();
    assert_eq!(seconds, [300, 3_600]);
}

#[test]
fn what_cannot_be_served_is_named() {
    check_error(
        "A: { Type: SQS, Properties: { Queue: !GetAtt Queue.Arn } }",
        "t.yaml: GetUserFunction, event A: Queue must be `!GetAtt NormalQueue.Arn` or `!GetAtt BulkQueue.Arn`",
    );
    check_error(
        "A: { Type: SNS, Properties: { Topic: !Ref Topic } }",
        "t.yaml: GetUserFunction, event A: events of type SNS are not known",
    );
    check_error(
        "A: { Type: HttpApi, Properties: { Method: GET } }",
        "GetUserFunction, event A: missing field `Path`",
    );
    check_error(
        "A: { Type: HttpApi, Properties: { Method: GET, Path: /x, Auth: { Authorizer: Other } } }",
        "there is no authorizer Other",
    );
    check_error(
        "A: { Type: ScheduleV2, Properties: { ScheduleExpression: !Ref Rate } }",
        "ScheduleExpression must be written out; the local host does not work out !Ref",
    );
    check_error(
        "A: { Type: HttpApi, Properties: { Method: GET, Path: !Sub '/${Stage}' } }",
        "Path must be written out",
    );
}

#[test]
fn broken_yaml_is_answered_with_its_line() {
    let text = "Resources:\n  A:\n    Type: x\n   Properties: {}\n";
    let error = Template::parse(Path::new("t.yaml"), text).unwrap_err();
    assert!(error.to_string().contains("line 4"), "{error}");
    let error = Template::parse(Path::new("t.yaml"), "Transform: x\n").unwrap_err();
    assert!(
        error.to_string().contains("missing field `Resources`"),
        "{error}"
    );
}

#[test]
fn an_authorizer_that_is_no_function_of_the_template_is_refused() {
    let text = API.replace("!GetAtt AuthorizeFunction.Arn", "!GetAtt Other.Arn");
    let error = Template::parse(Path::new("t.yaml"), &text).unwrap_err();
    assert_eq!(
        error.to_string(),
        "t.yaml: Api: ApiKey: there is no function Other"
    );
    let text = API.replace("!GetAtt AuthorizeFunction.Arn", "arn:aws:lambda:x");
    let error = Template::parse(Path::new("t.yaml"), &text).unwrap_err();
    assert!(error.to_string().contains("must be `!GetAtt"), "{error}");
}
