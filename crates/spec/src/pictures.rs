//! Names of what a trainer draws for people in a run folder. None of it is a result: how a picture
//! is drawn may change while what a run computes stays.

pub const RESULTS: &str = "results.png";
pub const LABELS: &str = "labels.jpg";
pub const PR_CURVE: &str = "BoxPR_curve.png";
pub const F1_CURVE: &str = "BoxF1_curve.png";
pub const P_CURVE: &str = "BoxP_curve.png";
pub const R_CURVE: &str = "BoxR_curve.png";
pub const CONFUSION: &str = "confusion_matrix.png";
pub const CONFUSION_NORMALIZED: &str = "confusion_matrix_normalized.png";
pub const TRAIN_BATCHES: [&str; 3] = ["train_batch0.jpg", "train_batch1.jpg", "train_batch2.jpg"];
pub const VAL_LABELS: [&str; 3] =
    ["val_batch0_labels.jpg", "val_batch1_labels.jpg", "val_batch2_labels.jpg"];
pub const VAL_PREDICTIONS: [&str; 3] =
    ["val_batch0_pred.jpg", "val_batch1_pred.jpg", "val_batch2_pred.jpg"];
/// TensorBoard takes any file whose name holds `tfevents`; a host's name is not needed in it.
pub const TENSORBOARD: &str = "events.out.tfevents.ybox";

/// All of them.
pub fn all() -> impl Iterator<Item = &'static str> {
    let single = [
        RESULTS,
        LABELS,
        PR_CURVE,
        F1_CURVE,
        P_CURVE,
        R_CURVE,
        CONFUSION,
        CONFUSION_NORMALIZED,
        TENSORBOARD,
    ];
    single.into_iter().chain(TRAIN_BATCHES).chain(VAL_LABELS).chain(VAL_PREDICTIONS)
}
