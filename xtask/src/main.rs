//! `cargo xtask`: what developing and trying LunchBadger takes, set-up included.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command for people, who watch its output")]

mod bench;
mod command;
mod generate;
mod images;
mod say;
mod test;
mod tidy;
mod tools;
mod up;

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use lb_testkit::control_plane::{ControlPlane, Options};
use lb_testkit::gitea::{self, Gitea};

/// Development tasks. Each does the set-up that it needs.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build the tools that are missing (a Kubernetes control plane, Gitea), into ~/.cache/lunchbadger.
    Tools,
    /// Run every check and every test.
    Test(test::Arguments),
    /// Check the rules that no compiler knows.
    Tidy,
    /// Write the files that are generated from the code.
    Generate,
    /// Measure, and compare with what is asked for.
    Bench(bench::Arguments),
    /// Send forged webhooks: a part of `bench`.
    #[command(hide = true)]
    BenchLoad(bench::Load),
    /// Build the images of the control plane and of producers' pods, into ~/.cache/lunchbadger/images.
    Images(images::Given),
    /// Start an empty control plane and keep it until Ctrl-C.
    Cluster,
    /// Start an empty Gitea and keep it until Ctrl-C.
    Gitea,
    /// Run the whole system on this machine, with an example producer, until Ctrl-C.
    Up(up::UpArguments),
    /// Remove what a killed `up` left.
    Down(up::Place),
}

fn main() -> ExitCode {
    say::start();
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<()> {
    match arguments.task {
        Task::Tools => tools::ensure(),
        Task::Test(arguments) => test::run(&arguments),
        Task::Tidy => tidy::run(),
        Task::Generate => generate::write(),
        Task::Bench(arguments) => bench::run(&arguments),
        Task::BenchLoad(arguments) => bench::load(&arguments),
        Task::Images(given) => images::build(&given),
        Task::Cluster => cluster(),
        Task::Gitea => gitea(),
        Task::Up(arguments) => up::up(&arguments),
        Task::Down(place) => up::down(&place),
    }
}

fn cluster() -> Result<()> {
    tools::kubernetes()?;
    runtime()?.block_on(async {
        let plane = ControlPlane::start(Options { progress: say::progress(), ..Options::default() }).await?;
        let (kubectl, kubeconfig) = (plane.kubectl().display(), plane.kubeconfig());
        let kubeconfig = kubeconfig.display();
        println!("\nTo try in another terminal:\n");
        println!("    {kubectl} --kubeconfig {kubeconfig} get namespaces");
        println!("    cargo xtask up --kubeconfig {kubeconfig}\n");
        until_ctrl_c().await
    })
}

fn gitea() -> Result<()> {
    tools::needs_git()?;
    tools::gitea()?;
    runtime()?.block_on(async {
        let options = gitea::Options { progress: say::progress(), ..gitea::Options::default() };
        let gitea = Gitea::launch(options).await?;
        let token = gitea.admin_token_file();
        println!("export GITEA_HOST={} GITEA_TOKEN=\"$(cat {})\"", gitea.url(), token.display());
        println!("curl --header \"Authorization: token $GITEA_TOKEN\" $GITEA_HOST/api/v1/user");
        until_ctrl_c().await
    })
}

async fn until_ctrl_c() -> Result<()> {
    println!("Ctrl-C ends it.");
    tokio::signal::ctrl_c().await.context("wait for Ctrl-C")
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start the async runtime")
}
