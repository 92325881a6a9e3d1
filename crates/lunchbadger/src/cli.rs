//! What can be said on the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use lb_vocab::{Environment, ProducerName};

/// Said below every help page that has exit statuses.
const EXIT_STATUSES: &str = "\
Exit status: 0 done, and nothing to report; 1 done, and there is something to report (findings, differences); \
2 not done (wrong use, nothing reachable, refused).";

/// LunchBadger: what producers keep in git becomes running Kubernetes objects.
#[derive(Debug, Parser)]
#[command(name = "lunchbadger", version, max_term_width = 100, after_help = EXIT_STATUSES)]
pub(crate) struct Cli {
    /// What holds for every command.
    #[command(flatten)]
    pub(crate) global: Global,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Clone, Debug, Args)]
pub(crate) struct Global {
    /// Kubernetes cluster to use: its kubeconfig file. The KUBECONFIG variable alone is ignored; inside a cluster
    /// the pod's own account is used
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig file [default: its current one]
    #[arg(long, global = true, value_name = "NAME", requires = "kubeconfig")]
    pub(crate) context: Option<String>,
    /// Base URL of the configstore [default: $CONFIGSTORE_URL, else http://localhost:3002]
    #[arg(long, global = true, value_name = "URL", value_hint = ValueHint::Url)]
    pub(crate) configstore_url: Option<String>,
    /// Base URL of git-api [default: $GIT_API_URL, else http://localhost:8080]
    #[arg(long, global = true, value_name = "URL", value_hint = ValueHint::Url)]
    pub(crate) git_api_url: Option<String>,
    /// File with the token for configstore and git-api [default: $LUNCHBADGER_TOKEN_FILE]
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) token_file: Option<PathBuf>,
    /// How reading commands answer
    #[arg(long, short, global = true, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
    /// How log lines are written (to standard error)
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
}

/// How a reading command answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// A table for people
    Table,
    /// One JSON document for scripts
    Json,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people
    Text,
    /// One JSON object a line
    Json,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print the objects that a directory with dev/ and functions/ becomes: no cluster, no network
    #[command(after_help = PLAN_HELP)]
    Plan(PlanArgs),
    /// Sign in: with a browser at the git host, or with a token of it
    #[command(after_help = LOGIN_HELP)]
    Login(LoginArgs),
    /// Forget what `login` has kept
    Logout,
    /// Who the control plane takes you for, and which producers you reach
    Whoami,
    /// Producers: list, create, members, switch off and on, remove
    #[command(subcommand)]
    Producers(ProducersCommand),
    /// What stands and what does not
    Status(StatusArgs),
    /// Look at a producer now, and wait until it has been done
    Reconcile(ReconcileArgs),
    /// What the cluster would have to change for what git says (server-side dry run)
    #[command(after_help = DIFF_HELP)]
    Diff(DiffArgs),
    /// Where a public host or an object comes from: child resource, line of the project, commit, author
    Why(WhyArgs),
    /// The brake on removals: show what it holds, release it
    #[command(subcommand)]
    Brake(BrakeCommand),
    /// The custom resource definitions
    #[command(subcommand)]
    Crds(CrdsCommand),
    /// Print the accounts of the control plane's roles, and the rights that each needs: for `kubectl apply -f -`
    #[command(after_help = RIGHTS_HELP)]
    Rights,
    /// Run everything in one process, with the embedded git host: for evaluation and tests
    Up(UpArgs),
    /// Run the Actualizer: makes Kubernetes match git
    Actualizer,
    /// Run the configstore: the facade over all producers
    Configstore,
    /// Run git-api: the facade over the git host
    GitApi,
    /// Run the watcher: how producers' pods fare, as server-sent events
    Watcher,
    /// Print the completion script of a shell
    Completion {
        /// The shell
        shell: clap_complete::Shell,
    },
}

const PLAN_HELP: &str = "\
Objects go to standard output, findings to standard error as `file:line:column: severity: ...`. Settings come from the \
environment, as the Actualizer's do. A commit id is made from the files' content.\n\n\
Exit status: 0 clean; 1 there are findings; 2 unusable: nothing to read, or a wrong setting.";

const RIGHTS_HELP: &str = "\
Settings come from the environment, as the Actualizer's do: ACTUALIZER_TARGET_NAMESPACE and CONTROL_PLANE_NAMESPACE say \
where producers' objects and the control plane are.";

const LOGIN_HELP: &str = "\
Without --user a page of the git host is shown to you in a browser, and you are signed in for some hours. With --user a \
personal access token of the git host is read from standard input; it needs the scopes read:user and write:repository \
(or read:repository, for reading alone). What is kept is yours alone, in lunchbadger/logins.json in your configuration \
directory; every other command asks git-api for a token of ten minutes with it.";

const DIFF_HELP: &str = "\
Settings come from the environment: give it the Actualizer's, or run it inside the Actualizer's pod.\n\n\
Exit status: 0 no difference; 1 differences; 2 not done.";

/// Arguments of `plan`.
#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// Directory that holds the producer's repositories, checked out as dev/ and functions/
    #[arg(value_hint = ValueHint::DirPath)]
    pub(crate) dir: PathBuf,
    /// The producer's name
    #[arg(long, value_name = "NAME")]
    pub(crate) producer: ProducerName,
    /// The environment
    #[arg(long, value_name = "NAME", default_value = "dev")]
    pub(crate) env: Environment,
    /// The workspace's OpenAPI document, which the auto gateway is made from
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) openapi: Option<PathBuf>,
    /// How objects are written [default: yaml; json with `--output json`]
    #[arg(long, value_enum)]
    pub(crate) format: Option<PlanFormat>,
    /// Print values of Secrets instead of their digests
    #[arg(long)]
    pub(crate) show_secrets: bool,
}

/// How `plan` writes objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PlanFormat {
    /// A YAML stream, one document for each object
    Yaml,
    /// One `v1` List
    Json,
}

/// Arguments of `login`.
#[derive(Debug, Args)]
pub(crate) struct LoginArgs {
    /// Login at the git host, whose personal access token is read from standard input
    #[arg(long, value_name = "LOGIN")]
    pub(crate) user: Option<String>,
}

/// What a member may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum MemberPermission {
    /// Read the project and its APIs
    Read,
    /// Change them, too
    Write,
    /// Disable, restart, keys and members, too
    Admin,
}

/// Commands about producers.
#[derive(Debug, Subcommand)]
pub(crate) enum ProducersCommand {
    /// All producers of the configstore, with their git users and repositories
    List,
    /// One producer: repositories, access, environments
    Show {
        /// The producer
        name: ProducerName,
    },
    /// Create a producer with its repositories, and say how to push to them
    Create {
        /// The producer
        name: ProducerName,
    },
    /// Make a token with which git speaks as this producer; it is shown once
    Token {
        /// The producer
        name: ProducerName,
        /// What the token is called, for later
        #[arg(long, default_value = "lunchbadger")]
        title: String,
    },
    /// Who may do what with its repositories, and so with its APIs
    Members {
        /// The producer
        name: ProducerName,
    },
    /// Let a user of the git host reach the producer, or change what they may do
    Invite {
        /// The producer
        name: ProducerName,
        /// Login at the git host
        login: String,
        /// What they may do
        #[arg(long, value_enum, default_value_t = MemberPermission::Write)]
        permission: MemberPermission,
    },
    /// End that
    Revoke {
        /// The producer
        name: ProducerName,
        /// Login at the git host
        login: String,
    },
    /// Remove all of its objects but its credentials, until it is enabled
    Disable {
        /// The producer
        name: ProducerName,
    },
    /// Let it run again what its project says
    Enable {
        /// The producer
        name: ProducerName,
    },
    /// Touch nothing of it until it is resumed
    Suspend {
        /// The producer
        name: ProducerName,
    },
    /// Go on with it
    Resume {
        /// The producer
        name: ProducerName,
    },
    /// Remove everything of a disabled or withdrawn producer from the cluster, credentials included; git is left alone
    Purge {
        /// The producer
        name: ProducerName,
        /// Do not ask for the name to be typed
        #[arg(long)]
        yes: bool,
        /// Even where it is enabled and not withdrawn
        #[arg(long)]
        force: bool,
    },
}

/// Arguments of `status`.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// One producer, in detail [default: all of them]
    pub(crate) producer: Option<ProducerName>,
    /// Show it again whenever it changes, until Ctrl-C
    #[arg(long, short)]
    pub(crate) watch: bool,
    /// Show findings alone; exit status 1 where there are any
    #[arg(long)]
    pub(crate) findings: bool,
}

/// Arguments of `reconcile`.
#[derive(Debug, Args)]
pub(crate) struct ReconcileArgs {
    /// The producer
    pub(crate) producer: ProducerName,
    /// Seconds to wait for it at most
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub(crate) timeout: u64,
}

/// Arguments of `diff`.
#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// The producer
    pub(crate) producer: ProducerName,
    /// The environment
    #[arg(long, value_name = "NAME", default_value = "dev")]
    pub(crate) env: Environment,
}

/// Arguments of `why`.
#[derive(Debug, Args)]
pub(crate) struct WhyArgs {
    /// A public host (`main-al-dev.lunchbadger.io`), or an object (`deployment/gateway-al-dev-main`)
    #[arg(value_name = "HOST|KIND/NAME")]
    pub(crate) subject: String,
}

/// Commands about the brake.
#[derive(Debug, Subcommand)]
pub(crate) enum BrakeCommand {
    /// What it counted and what it holds, with the digest that releases it; exit status 1 where it holds anything
    Show,
    /// Let the held set go, if it is still exactly the one with this digest
    Release {
        /// The digest that `show` prints
        digest: String,
    },
}

/// Commands about the custom resource definitions.
#[derive(Debug, Subcommand)]
pub(crate) enum CrdsCommand {
    /// Print them as YAML
    Print,
    /// Apply them to the cluster, and wait until it serves them
    Apply,
}

/// Arguments of `up`.
#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    /// Directory for repositories, tokens and the journal; made where it is missing
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) data_dir: PathBuf,
    /// Address of git-api
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub(crate) git_api_address: std::net::SocketAddr,
    /// Address of the configstore
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:3002")]
    pub(crate) configstore_address: std::net::SocketAddr,
    /// Address of the watcher
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7788")]
    pub(crate) watcher_address: std::net::SocketAddr,
    /// Address of the Actualizer's /live, /ready and /metrics
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9090")]
    pub(crate) actualizer_address: std::net::SocketAddr,
}
