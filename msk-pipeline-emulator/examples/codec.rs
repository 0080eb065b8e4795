//! Decodes requests and encodes replies, one JSON line each way, for `tests/boto3/codec.py`, which compares both with botocore.

use std::error::Error;
use std::io::{BufRead, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use msk_pipeline_emulator::model::Kind;
use msk_pipeline_emulator::protocol;
use msk_pipeline_emulator::world::{Reply, Request};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Line {
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    body: String,
    /// The output to encode, if the operation has one.
    reply: Value,
    reply_body: Option<String>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line: Line = serde_json::from_str(&line?)?;
        let request = Request {
            method: line.method,
            path: line.path,
            query: line.query,
            headers: line.headers,
            body: STANDARD.decode(line.body)?.into(),
        };
        let answer = match protocol::target(&request) {
            Err(e) => json!({"problem": e.error.message}),
            Ok(target) => match protocol::input(&target, &request) {
                Err(e) => json!({"operation": target.operation, "problem": e.message}),
                Ok(input) => {
                    let foreign =
                        protocol::output_problems(target.model, &target.operation, &line.reply);
                    let problems = protocol::problems(&target, &input);
                    let problems =
                        problems.iter().filter(|p| matches!(p.kind, Kind::Missing | Kind::Type));
                    let problems: Vec<&str> = problems.map(|p| p.path.as_str()).collect();
                    let body = line.reply_body.map(|b| STANDARD.decode(b)).transpose()?;
                    let reply = Reply { value: line.reply, body: body.map(Into::into) };
                    let response = protocol::success(&target, &reply, "id");
                    json!({
                        "operation": target.operation,
                        "input": input.value,
                        "input_body": STANDARD.encode(&input.body),
                        "problems": problems,
                        "foreign": foreign,
                        "status": response.status,
                        "headers": response.headers,
                        "body": STANDARD.encode(&response.body),
                    })
                }
            },
        };
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}
