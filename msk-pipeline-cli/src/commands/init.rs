//! `init`: a file to begin with.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};

use serde_json::json;

use crate::diagnostic::Failure;
use crate::exit::Exit;
use crate::printer::Printer;
use crate::settings::Settings;

/// The smallest file; everything else has a default.
const TEMPLATE: &str = r#"# A change-data-capture pipeline: Aurora MySQL -> MSK -> MSK Connect with Debezium.
# Every key, its default and what changing it does: `msk-pipeline schema`.

[pipeline]
name   = "orders-cdc"          # physical names begin with it
region = "us-east-1"
# account = "111111111111"     # any other account is refused before the first call
# tags    = { Team = "data" }

[network]
vpc = { tags = { Name = "default-vpc" } }   # or an id: "vpc-0ab12cd"

[database.orders]
engine = "aurora-mysql"

[kafka.main]

[connector.mysql]
source = "orders"              # [database.orders]
tables = ["shop.orders", "shop.customers"]
"#;

pub(super) fn run(settings: &Settings, printer: &Printer) -> Result<Exit, Failure> {
    let file = &settings.file;
    let name = file.display();
    let opened = OpenOptions::new().write(true).create_new(true).open(file);
    let written = opened.and_then(|mut file| {
        file.write_all(TEMPLATE.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => {
            Failure::new(Exit::Invalid, format!("{name} exists already; it was left alone"))
                .help("name another file with -f")
        }
        ErrorKind::NotFound => {
            Failure::new(Exit::Invalid, format!("the folder of {name} does not exist"))
        }
        _ => Failure::new(Exit::Failed, format!("{name} can't be written: {error}")),
    })?;
    if printer.json {
        printer.data_json(&json!({ "version": 1, "file": name.to_string() }));
    }
    printer.say(format!("Wrote {name}."));
    printer.say(format!(
        "Next: try it on the embedded AWS, without an account: {}",
        settings.command(if settings.local { "plan" } else { "--local plan" })
    ));
    Ok(Exit::Done)
}
