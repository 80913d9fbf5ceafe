//! The command line.

use std::fs;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, ValueEnum};
use lark_local_host::{Options, Platform};
use lark_service::config;
use lark_service::ids::AppId;
use lark_service::lark::Domain;
use secrecy::SecretString;
use tracing_subscriber::filter::LevelFilter;

/// Holds the app's secret for `--app-id`.
const SECRET: &str = "LARK_APP_SECRET";

/// Every function of Lark Service behind one local port, with the Lark simulator or an app of the real platform.
#[derive(Parser)]
#[command(name = "lark-local-host")]
pub(crate) struct Arguments {
    /// Port on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 9000)]
    port: u16,
    /// Folder for records, keys and the API key
    #[arg(long, value_name = "FOLDER", default_value = ".data")]
    data_dir: PathBuf,
    /// The template to serve
    #[arg(long, value_name = "FILE", default_value = "template.yaml")]
    template: PathBuf,
    /// How many users the simulator has
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = 10_000,
        conflicts_with = "app_id"
    )]
    users: u32,
    /// Port of the simulator on 127.0.0.1; 0 takes a free one
    #[arg(
        long,
        value_name = "PORT",
        default_value_t = 0,
        conflicts_with = "app_id"
    )]
    simulator_port: u16,
    /// An app of the real platform, instead of the simulator; its secret is read from LARK_APP_SECRET or --app-secret-file
    #[arg(long, value_name = "ID", value_parser = parse_app_id)]
    app_id: Option<AppId>,
    /// File with the app's secret
    #[arg(long, value_name = "FILE", requires = "app_id")]
    app_secret_file: Option<PathBuf>,
    /// The app's platform
    #[arg(long, value_enum, default_value_t = AppDomain::Feishu, requires = "app_id")]
    domain: AppDomain,
    /// Log level on standard error: error, warn, info, debug, trace or off
    #[arg(long, value_name = "LEVEL", default_value = "warn")]
    pub(crate) log: LevelFilter,
}

#[derive(Clone, Copy, ValueEnum)]
enum AppDomain {
    Feishu,
    Lark,
}

impl Arguments {
    /// The host's options. Ends the process with status 2 for errors that clap cannot check.
    pub(crate) fn options(self) -> Options {
        let platform = match self.app_id {
            None => Platform::Simulated {
                users: self.users,
                port: self.simulator_port,
            },
            Some(app_id) => Platform::Real {
                domain: match self.domain {
                    AppDomain::Feishu => Domain::Feishu,
                    AppDomain::Lark => Domain::Lark,
                },
                app_id,
                secret: secret(self.app_secret_file.as_ref()).unwrap_or_else(|problem| {
                    Self::command()
                        .error(ErrorKind::MissingRequiredArgument, problem)
                        .exit()
                }),
            },
        };
        Options {
            listen: ([127, 0, 0, 1], self.port).into(),
            data_dir: self.data_dir,
            template: self.template,
            head_timeout: Options::HEAD_TIMEOUT,
            platform,
        }
    }
}

fn secret(file: Option<&PathBuf>) -> Result<SecretString, String> {
    let text = match file {
        Some(path) => fs::read_to_string(path)
            .map_err(|error| format!("--app-secret-file {}: {error}", path.display()))?,
        None => config::variable(SECRET).ok_or_else(|| {
            format!("--app-id needs the app's secret in {SECRET} or --app-secret-file")
        })?,
    };
    match text.trim() {
        "" => Err("the app's secret is empty".to_owned()),
        secret => Ok(secret.into()),
    }
}

fn parse_app_id(text: &str) -> Result<AppId, String> {
    AppId::parse(text).ok_or_else(|| "must be 1 to 64 letters, digits, `_` or `-`".to_owned())
}
