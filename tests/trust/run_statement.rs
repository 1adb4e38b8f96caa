//! A run as an in-toto statement.

use std::fs;

use serde_json::Value;
use ybox::record::statement;
use ybox_spec::config::Task;

use super::run_standin::Place;

#[test]
fn a_run_states_its_inputs_outputs_and_host_and_no_place() {
    let place = Place::new();
    let finished = place.run(Task::Train, &["data=data/data.yaml", "epochs=2"]).unwrap();
    let bytes = statement::run(&finished.folder).unwrap();
    assert_eq!(bytes, statement::run(&finished.folder).unwrap());
    let document: Value = serde_json::from_slice(&bytes).unwrap();
    let record = &finished.record;
    let subjects = document["subject"].as_array().unwrap();
    assert_eq!(subjects.len(), record.outputs.artifacts.len());
    for (subject, artifact) in subjects.iter().zip(&record.outputs.artifacts) {
        assert_eq!(subject["name"], artifact.path);
        assert_eq!(subject["digest"]["sha256"], artifact.sha256.hex());
    }
    let predicate = &document["predicate"];
    assert_eq!(predicate["inputs"]["data"], record.inputs.data.to_string());
    assert_eq!(predicate["hashes"]["run"], record.run_hash.to_string());
    assert_eq!(predicate["host"], record.circumstances.host);
    let text = String::from_utf8(bytes).unwrap();
    assert!(!text.contains(place.root.to_str().unwrap()), "{text}");
}

#[test]
fn a_record_that_was_changed_is_not_stated() {
    let place = Place::new();
    let finished = place.run(Task::Train, &["data=data/data.yaml", "epochs=2"]).unwrap();
    let path = finished.folder.join("run.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen("\"seed\": 0", "\"seed\": 1", 1)).unwrap();
    let error = statement::run(&finished.folder).unwrap_err();
    assert!(matches!(error, statement::StatementError::Changed(_)), "{error}");
}
