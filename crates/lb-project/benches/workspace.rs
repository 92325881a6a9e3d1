//! How long the workspace API's logic takes: reads, saves, and reading a project. `cargo bench -p lb-project`.
#![expect(clippy::unwrap_used, reason = "a bench reports by failing")]

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use lb_project::{Answer, Method, Request, Workspace};
use lb_vocab::SafePath;

const INCLUDES: &str = "filter[include]=properties&filter[include]=relations&filter[include]=methods";

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("workspace");
    for models in [100, 2000] {
        let files = files(models);
        let (workspace, findings) = Workspace::read(files.clone());
        assert!(findings.is_empty());
        let bytes = get(&workspace, "/api/Facets/server/models", INCLUDES).body.len();
        assert!(bytes > 1000 * models, "{bytes} bytes");
        group.throughput(Throughput::Elements(1));
        group.bench_function(format!("{models}/one-model"), |bencher| {
            bencher.iter(|| get(&workspace, black_box("/api/ModelDefinitions/server.Model42"), ""));
        });
        group.bench_function(format!("{models}/all-with-includes"), |bencher| {
            bencher.iter(|| get(&workspace, black_box("/api/ModelDefinitions"), INCLUDES));
        });
        group.bench_function(format!("{models}/one-by-name"), |bencher| {
            let query = "filter={\"where\":{\"name\":\"Model42\"}}";
            bencher.iter(|| get(&workspace, black_box("/api/ModelDefinitions"), query));
        });
        group.bench_function(format!("{models}/save-property"), |bencher| {
            let mut workspace = workspace.clone();
            let mut n = 0;
            bencher.iter(|| {
                n += 1;
                let body = format!("{{\"name\":\"p1\",\"type\":\"t{n}\",\"modelId\":\"server.Model42\"}}");
                save(&mut workspace, "/api/ModelProperties", &body);
            });
        });
        group.bench_function(format!("{models}/save-model-config"), |bencher| {
            let mut workspace = workspace.clone();
            let mut n = 0;
            bencher.iter(|| {
                n += 1;
                let body = format!("{{\"id\":\"server.Model42\",\"name\":\"Model42\",\"facetName\":\"server\",\"dataSource\":\"d{n}\"}}");
                save(&mut workspace, "/api/ModelConfigs", &body);
            });
        });
        group.bench_function(format!("{models}/read-project"), |bencher| {
            bencher.iter(|| Workspace::read(black_box(files.clone())));
        });
    }
    group.finish();
    criterion.final_summary();
}

fn get(workspace: &Workspace, path: &str, query: &str) -> Answer {
    let answer = workspace.answer(&Request { method: Method::Get, path, query, body: b"" });
    assert_eq!(answer.status, 200);
    answer
}

fn save(workspace: &mut Workspace, path: &str, body: &str) {
    let request = Request { method: Method::Post, path, query: "", body: body.as_bytes() };
    let answer = workspace.answer(&request);
    assert_eq!((answer.status, answer.changes.len()), (200, 1));
    for (path, bytes) in answer.changes {
        workspace.update(&path, bytes);
    }
}

/// A project of so many models of five properties, a relation and a method, as the package writes it.
fn files(models: usize) -> Vec<(SafePath, Vec<u8>)> {
    let property = |n: usize| {
        format!("    \"property{n}\": {{\n      \"type\": \"string\",\n      \"required\": true\n    }}")
    };
    let properties = (0..5).map(property).collect::<Vec<_>>().join(",\n");
    let mut files: Vec<(String, String)> = (0..models)
        .map(|n| {
            let text = format!(
                "{{\n  \"name\": \"Model{n}\",\n  \"plural\": \"Models{n}\",\n  \"base\": \"PersistedModel\",\n  \"idInjection\": true,\n  \"options\": {{\n    \"validateUpsert\": true\n  }},\n  \"lunchbadgerId\": \"id-{n}\",\n  \"properties\": {{\n{properties}\n  }},\n  \"validations\": [],\n  \"relations\": {{\n    \"owner\": {{\n      \"type\": \"belongsTo\",\n      \"model\": \"User\",\n      \"foreignKey\": \"ownerId\"\n    }}\n  }},\n  \"acls\": [],\n  \"methods\": {{\n    \"prototype.run\": {{\n      \"accepts\": []\n    }}\n  }}\n}}\n"
            );
            (format!("server/models/model-{n}.json"), text)
        })
        .collect();
    let config =
        |n: usize| format!("  \"Model{n}\": {{\n    \"dataSource\": \"db\",\n    \"public\": true\n  }}");
    let configs = (0..models).map(config).collect::<Vec<_>>().join(",\n");
    files.push(("server/model-config.json".into(), format!("{{\n{configs}\n}}\n")));
    files.push((
        "server/datasources.json".into(),
        "{\n  \"db\": {\n    \"name\": \"db\",\n    \"connector\": \"memory\"\n  }\n}\n".into(),
    ));
    files.into_iter().map(|(path, text)| (path.parse().unwrap(), text.into_bytes())).collect()
}
