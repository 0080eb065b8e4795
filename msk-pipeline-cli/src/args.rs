//! What can be typed: clap's types and nothing else. Every flag can be given as an environment variable `MSKP_…`, too.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::FalseyValueParser;
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use msk_pipeline_aws::verify::Look;
use msk_pipeline_core::Address;
use msk_pipeline_core::dsl::duration;

use crate::settings::quoted;

const EXITS: &str = "\
Exit codes, the first that holds:
  130  interrupted: what goes on in AWS is listed, the same command continues
    3  invalid input or usage, or the wrong account
    5  another run holds the state
    6  refused, because data would be lost or read again
    1  failed
    4  a gate was declined, or is open
    2  changes are present (only with --detailed-exitcode)
    0  done

Every flag is also an environment variable (MSKP_FILE, MSKP_LOCAL=1, …), variables are MSKP_VAR_<name>; NO_COLOR turns color off.";

/// Change-data-capture pipelines on AWS, declared as one value: Aurora, MSK and MSK Connect with Debezium, in dependency order.
#[derive(Debug, Parser)]
#[command(name = "msk-pipeline", version, after_help = EXITS, max_term_width = 100)]
#[command(subcommand_required = true, arg_required_else_help = false)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options that stand before or after the command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// The file that declares the pipeline
    #[arg(short, long, global = true, value_name = "FILE", default_value = "pipeline.toml")]
    #[arg(env = "MSKP_FILE", hide_env = true)]
    pub(crate) file: PathBuf,
    /// Use the embedded AWS, kept in .msk-pipeline/world beside the file; everything in it is simulated, without --real
    #[arg(long, global = true, env = "MSKP_LOCAL", hide_env = true)]
    #[arg(value_parser = FalseyValueParser::new())]
    pub(crate) local: bool,
    /// With --local: a real Kafka, Kafka Connect and MariaDB or PostgreSQL behind it, on loopback, run in the background from the first
    /// command that needs them until `local stop`; wants Java 17 and mariadb-server or postgresql (Linux)
    #[arg(long, global = true, env = "MSKP_REAL", hide_env = true)]
    #[arg(value_parser = FalseyValueParser::new())]
    pub(crate) real: bool,
    /// Merge the section [env.NAME] over the file
    #[arg(long, global = true, value_name = "NAME", env = "MSKP_ENV", hide_env = true)]
    pub(crate) env: Option<String>,
    /// Set a variable, which the file uses as ${var.NAME}; repeatable
    #[arg(long = "var", global = true, value_name = "NAME=VALUE", value_parser = variable)]
    pub(crate) vars: Vec<(String, String)>,
    /// Print one JSON document, or for apply, destroy and adopt one JSON event a line
    #[arg(long, global = true, env = "MSKP_JSON", hide_env = true)]
    #[arg(value_parser = FalseyValueParser::new())]
    pub(crate) json: bool,
    /// Trust these certificates (PEM) of databases and brokers beside the system's; Aurora's are RDS's own: its global-bundle.pem
    #[arg(long, global = true, value_name = "FILE", env = "MSKP_CA_BUNDLE", hide_env = true)]
    pub(crate) ca_bundle: Option<PathBuf>,
    /// Say more; -vv also says what is as it should be
    #[arg(short, long, global = true, action = ArgAction::Count, env = "MSKP_VERBOSE", hide_env = true)]
    pub(crate) verbose: u8,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write a file to begin with
    Init,
    /// Check the file, without AWS
    Validate,
    /// Print the JSON Schema of the file, for editors
    Schema,
    /// Print what waits for what, without AWS
    Graph {
        /// The form
        #[arg(long, value_enum, default_value_t = GraphFormat::Dot, env = "MSKP_FORMAT", hide_env = true)]
        format: GraphFormat,
    },
    /// Show every call that apply would make, and what it does to data; changes nothing
    Plan(PlanArgs),
    /// Make what is declared; asks at each stage
    Apply(ApplyArgs),
    /// Delete everything that apply made, dependents first
    Destroy(DestroyArgs),
    /// Take over an object that exists and is not ours: brings it to what is declared, and marks it
    Adopt(AdoptArgs),
    /// Show what is recorded, what is in flight, and whether AWS still agrees; changes nothing
    Status(StatusArgs),
    /// Verify that rows come out: looks at each link from the database to the topics; exit 1 unless all is well
    Verify(VerifyArgs),
    /// One connector: its log, its events; restart, pause, resume, snapshot, recover, rotate its credentials
    Connector {
        #[command(subcommand)]
        command: ConnectorCommand,
    },
    /// Tell why a connector fails, with what to do, from its workers' log and what AWS reports; exit 1 if something is wrong
    Explain {
        /// One connector's address; without it all
        address: Option<String>,
    },
    /// Print outputs: ids, ARNs, endpoints
    Output {
        /// A resource's address, or one output of it (`kafka.main.cluster.cluster_arn`)
        name: Option<String>,
    },
    /// The recorded state: look at it, edit it, prepare its place in S3, see who holds it
    State {
        #[command(subcommand)]
        command: StateCommand,
    },
    /// Print a completion script
    Completions {
        /// For which shell
        shell: Shell,
    },
    /// The embedded AWS: what exists and runs in it; empty it; serve it to any AWS client
    Local {
        #[command(subcommand)]
        command: LocalCommand,
    },
}

impl Command {
    /// The word for it in JSON.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Command::Init => "init",
            Command::Validate => "validate",
            Command::Schema => "schema",
            Command::Graph { .. } => "graph",
            Command::Plan(_) => "plan",
            Command::Apply(_) => "apply",
            Command::Destroy(_) => "destroy",
            Command::Adopt(_) => "adopt",
            Command::Status(_) => "status",
            Command::Verify(_) => "verify",
            Command::Connector { .. } => "connector",
            Command::Explain { .. } => "explain",
            Command::Output { .. } => "output",
            Command::State { .. } => "state",
            Command::Completions { .. } => "completions",
            Command::Local { .. } => "local",
        }
    }

    /// True for the commands whose JSON is a stream of events.
    pub(crate) fn is_run(&self) -> bool {
        matches!(self, Command::Apply(_) | Command::Destroy(_) | Command::Adopt(_))
    }
}

/// A form of graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum GraphFormat {
    /// Graphviz
    Dot,
    /// Mermaid, as GitHub renders it
    Mermaid,
    /// {"nodes": […], "edges": […]}
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// Show what destroy would do
    #[arg(long, env = "MSKP_DESTROY", hide_env = true, value_parser = FalseyValueParser::new())]
    pub(crate) destroy: bool,
    /// Save the plan, for `apply FILE`
    #[arg(long, value_name = "FILE", env = "MSKP_OUT", hide_env = true)]
    pub(crate) out: Option<PathBuf>,
    /// Exit with 2 if there are changes
    #[arg(long, env = "MSKP_DETAILED_EXITCODE", hide_env = true)]
    #[arg(value_parser = FalseyValueParser::new())]
    pub(crate) detailed_exitcode: bool,
}

/// What is agreed to beforehand, and how long another run may hold it up.
#[derive(Debug, Clone, Args)]
pub(crate) struct Consent {
    /// Pass every gate without a question; does not agree to losing data
    #[arg(long, env = "MSKP_AUTO_APPROVE", hide_env = true, value_parser = FalseyValueParser::new())]
    pub(crate) auto_approve: bool,
    /// Pass the gate of this stage; repeatable
    #[arg(
        long,
        value_name = "STAGE",
        value_delimiter = ',',
        env = "MSKP_APPROVE",
        hide_env = true
    )]
    pub(crate) approve: Vec<String>,
    /// Agree that this resource's data is lost or read again; repeatable
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
    #[arg(env = "MSKP_ALLOW_DATA_LOSS", hide_env = true)]
    pub(crate) allow_data_loss: Vec<String>,
    /// How long to wait for another run to end: 30s, 10m
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "0s")]
    #[arg(env = "MSKP_LOCK_TIMEOUT", hide_env = true)]
    pub(crate) lock_timeout: Duration,
}

impl Consent {
    /// The resources whose data may be lost or read again.
    pub(crate) fn addresses(&self) -> BTreeSet<Address> {
        self.allow_data_loss.iter().map(Address::new).collect()
    }

    /// The flags with which the same is agreed to again, each after a space.
    pub(crate) fn flags(&self) -> String {
        let auto = if self.auto_approve { " --auto-approve" } else { "" };
        let stages = self.approve.iter().map(|stage| format!(" --approve {}", quoted(stage)));
        let lost = self.allow_data_loss.iter();
        let lost = lost.map(|address| format!(" --allow-data-loss {}", quoted(address)));
        auto.to_owned() + &stages.chain(lost).collect::<String>()
    }
}

#[derive(Debug, Args)]
pub(crate) struct ApplyArgs {
    /// A plan that `plan --out` saved: it and nothing else is carried out
    pub(crate) planfile: Option<PathBuf>,
    /// Stop as soon as a connector's log shows for certain that it will not run; the next apply goes on
    #[arg(long, env = "MSKP_FAIL_FAST", hide_env = true, value_parser = FalseyValueParser::new())]
    pub(crate) fail_fast: bool,
    #[command(flatten)]
    pub(crate) consent: Consent,
}

#[derive(Debug, Args)]
pub(crate) struct DestroyArgs {
    /// Only this stage and what depends on it; repeatable
    #[arg(
        long = "stage",
        value_name = "STAGE",
        value_delimiter = ',',
        env = "MSKP_STAGE",
        hide_env = true
    )]
    pub(crate) stages: Vec<String>,
    /// Pass every gate without a question; agrees to losing data only with --local
    #[arg(long, env = "MSKP_AUTO_APPROVE", hide_env = true, value_parser = FalseyValueParser::new())]
    pub(crate) auto_approve: bool,
    /// Agree that this resource's data is lost; repeatable
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
    #[arg(env = "MSKP_ALLOW_DATA_LOSS", hide_env = true)]
    pub(crate) allow_data_loss: Vec<String>,
    /// How long to wait for another run to end: 30s, 10m
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "0s")]
    #[arg(env = "MSKP_LOCK_TIMEOUT", hide_env = true)]
    pub(crate) lock_timeout: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct AdoptArgs {
    /// The resource that the object is to be; the object has the name that the file gives it
    pub(crate) address: String,
    /// The object's name, ARN or id, to be sure that it is that one
    pub(crate) id: Option<String>,
    /// Take it from the state of this lineage, whose mark it carries
    #[arg(long, value_name = "LINEAGE", env = "MSKP_FROM_LINEAGE", hide_env = true)]
    pub(crate) from_lineage: Option<String>,
    #[command(flatten)]
    pub(crate) consent: Consent,
}

/// How databases and brokers are looked at.
#[derive(Debug, Clone, Args)]
pub(crate) struct Sight {
    /// How many bytes of the source's binary log a connector may be behind
    #[arg(long, value_name = "BYTES", default_value_t = Look::MOST_BEHIND)]
    #[arg(env = "MSKP_MAX_LAG", hide_env = true)]
    pub(crate) max_lag: u64,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Only whether connectors are alive, a line each, for cron and pagers: state, tasks, heartbeat, distance, secret; exit 1 unless
    /// every one was seen to be
    #[arg(long, env = "MSKP_CHECK", hide_env = true, value_parser = FalseyValueParser::new())]
    pub(crate) check: bool,
    #[command(flatten)]
    pub(crate) sight: Sight,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// One connector, by its section's name or its address; without it all
    pub(crate) connector: Option<String>,
    /// Prove it by a row of the tool's own: insert, update, delete, and wait for its events; usual where real programs run locally
    #[arg(long, env = "MSKP_CANARY", hide_env = true, value_parser = FalseyValueParser::new())]
    pub(crate) canary: bool,
    /// Change nothing anywhere: heartbeat, last event and distance have to do; usual on AWS
    #[arg(long, conflicts_with = "canary", env = "MSKP_PASSIVE", hide_env = true)]
    #[arg(value_parser = FalseyValueParser::new())]
    pub(crate) passive: bool,
    /// How long to wait for each event of the row
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "1m")]
    #[arg(env = "MSKP_WAIT", hide_env = true)]
    pub(crate) wait: Duration,
    #[command(flatten)]
    pub(crate) sight: Sight,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConnectorCommand {
    /// Print what its workers wrote to their log group
    Logs {
        /// The connector, by its section's name or its address
        connector: String,
        /// From how long ago on
        #[arg(long, value_name = "TIME", value_parser = duration, default_value = "15m")]
        #[arg(env = "MSKP_SINCE", hide_env = true)]
        since: Duration,
        /// Go on with new lines until interrupted
        #[arg(long, env = "MSKP_FOLLOW", hide_env = true, value_parser = FalseyValueParser::new())]
        follow: bool,
    },
    /// Print the events of its tables as they come, until interrupted
    Tail {
        /// The connector, by its section's name or its address
        connector: String,
        #[command(flatten)]
        sight: Sight,
    },
    /// Restart it with its tasks (MSK Connect's `RestartConnector`); its place is kept. Only one that is RUNNING
    Restart {
        /// The connector, by its section's name or its address
        connector: String,
        /// Only its failed tasks (Kafka Connect 3.7 and newer)
        #[arg(long, env = "MSKP_ONLY_FAILED", hide_env = true)]
        #[arg(value_parser = FalseyValueParser::new())]
        only_failed: bool,
    },
    /// Pause it (`PauseConnector`): it reads nothing and keeps its place, as long as the binary log is kept. The next apply resumes it
    Pause {
        /// The connector, by its section's name or its address
        connector: String,
    },
    /// Read rows that captured tables have once more, beside the stream: writes a signal, and tells how each table ended
    Snapshot {
        /// The connector, by its section's name or its address
        connector: String,
        /// The tables, `schema.table`; without any, all that it captures
        tables: Vec<String>,
        #[command(flatten)]
        sight: Sight,
    },
    /// Give its user another password without a gap: in the database, in the secret, and in every connector of this file that has the
    /// secret; then verify
    RotateCredentials {
        /// The connector, by its section's name or its address
        connector: String,
        /// Also prove it by a row of the tool's own; usual where real programs run locally
        #[arg(long, env = "MSKP_CANARY", hide_env = true, value_parser = FalseyValueParser::new())]
        canary: bool,
        #[command(flatten)]
        sight: Sight,
    },
    /// Begin anew where its place or its schema history is lost: raises `generation` in the file, and applies. Every row that its tables have
    /// is read again; what was deleted meanwhile is not told
    Recover {
        /// The connector, by its section's name or its address
        connector: String,
        #[command(flatten)]
        consent: Consent,
    },
    /// Let a paused one go on where it was (`ResumeConnector`)
    Resume {
        /// The connector, by its section's name or its address
        connector: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct RebuildArgs {
    /// Record what was found without a question
    #[arg(long, env = "MSKP_AUTO_APPROVE", hide_env = true, value_parser = FalseyValueParser::new())]
    pub(crate) auto_approve: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum StateCommand {
    /// Every recorded resource
    List,
    /// Everything recorded of one resource
    Show {
        /// Its address
        address: String,
    },
    /// Make the S3 bucket that the file names, or make it fit: versioned, encrypted, private
    Init,
    /// Who holds the state
    Lock {
        #[command(subcommand)]
        command: LockCommand,
    },
    /// Print the whole state as JSON
    Pull,
    /// Replace the state by one that `pull` printed; an older one and one of another pipeline are refused
    Push {
        /// The file with it
        #[arg(value_name = "STATE")]
        state: PathBuf,
    },
    /// Give what is recorded of a resource another address, after it was renamed in the file
    Mv {
        /// The address as it is recorded
        from: String,
        /// The address as it is in the file
        to: String,
    },
    /// Make a lost state again from the marks on the objects that the file names
    Rebuild(RebuildArgs),
    /// Forget a resource: it stays in AWS and is nobody's
    Rm {
        /// Its address
        address: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum LockCommand {
    /// Show who holds it, and since when
    Show,
    /// Take it away: a run that lives stops at its next write; another can begin ninety seconds later
    Release,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LocalCommand {
    /// What exists in the embedded AWS
    Inventory,
    /// Who serves it, which programs run behind it, and what in it is simulated
    Status,
    /// End the programs behind it and the process that runs them; their data stay
    Stop,
    /// Empty it, end its programs, and forget what pipelines had made in it
    Reset,
    /// Serve it on 127.0.0.1 to any AWS client, until interrupted; with --real, run its programs
    Serve {
        /// The port; 0 takes a free one
        #[arg(long, value_name = "N", default_value_t = 4566, env = "MSKP_PORT", hide_env = true)]
        port: u16,
        /// Leave the terminal's session; who begins it in the background says where its output goes
        #[arg(long, hide = true, env = "MSKP_DETACHED", value_parser = FalseyValueParser::new())]
        detached: bool,
        /// How fast its time goes from now on; 1 is real time, 0 standstill
        #[arg(long, value_name = "X", value_parser = scale, env = "MSKP_TIME_SCALE", hide_env = true)]
        time_scale: Option<f64>,
    },
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("a variable is written NAME=VALUE".into()),
    }
}

fn scale(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(scale) if scale.is_finite() && (0.0..=100_000.0).contains(&scale) => Ok(scale),
        _ => Err("a number from 0 to 100000 is expected".into()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_flag_has_a_variable() {
        fn check(command: &clap::Command) {
            for arg in command.get_arguments() {
                let Some(long) = arg.get_long() else { continue };
                // Variables have one of their own each: MSKP_VAR_<name>.
                if ["help", "version", "var"].contains(&long) {
                    continue;
                }
                let expected = format!("MSKP_{}", long.replace('-', "_").to_uppercase());
                let found = arg.get_env().map(|e| e.to_string_lossy().into_owned());
                assert_eq!(found, Some(expected), "--{long} of {}", command.get_name());
            }
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }

    #[test]
    fn global_options_stand_before_or_after_the_verb() {
        for line in ["-f a.toml --local plan --json", "plan --local --json -f a.toml"] {
            let cli = Cli::try_parse_from(["msk-pipeline"].into_iter().chain(line.split(' ')));
            let global = cli.expect("parses").global;
            assert!(global.local && global.json && global.file == *"a.toml");
        }
    }
}
