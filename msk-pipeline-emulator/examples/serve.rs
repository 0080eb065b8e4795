//! Serves a world on 127.0.0.1 until standard input closes: `serve [PORT [FOLDER [SCALE]]]`. Without a folder it lives in memory.

#![expect(clippy::print_stdout, reason = "an example tells where it listens")]

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use msk_pipeline_emulator::shell::http::Server;
use msk_pipeline_emulator::shell::{FileWorld, InProcess, Mapping, wall_now};
use msk_pipeline_emulator::{Settings, World};
use tokio::io::AsyncReadExt;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let port = arguments.first().map_or(Ok(0), |p| p.parse())?;
    let scale = arguments.get(2).map_or(Ok(60.0), |s| s.parse())?;
    let settings = Settings::default();
    let server = if let Some(folder) = arguments.get(1) {
        let world = FileWorld::open_or_create(Path::new(folder), settings, scale)?;
        Server::start(port, world.clone(), world).await?
    } else {
        let time = Mapping::new(settings.epoch, wall_now(), scale);
        Server::start(port, InProcess::new(World::new(settings)), Arc::new(time)).await?
    };
    println!("{}", server.url());
    let mut rest = Vec::new();
    tokio::io::stdin().read_to_end(&mut rest).await?;
    server.stop().await;
    Ok(())
}
