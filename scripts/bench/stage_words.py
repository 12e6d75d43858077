"""What the stages of identification are, for people."""

from core.stages import Stage

WORDS = {
    Stage.CLAIM: "Take a chunk and read its photos' names from the database",
    Stage.READ: "Read the file and hash it",
    Stage.DECODE: "Decode it, and scale it for the detector or the network",
    Stage.AWAIT: "Wait for photos that are still being read and decoded",
    Stage.DETECT: "Find its faces",
    Stage.ALIGN: "Cut the faces out",
    Stage.JUDGE: "Judge their quality",
    Stage.EMBED: "Run the network",
    Stage.DECIDE: "Compare with the gallery, apply the reject rule",
    Stage.STORE: "Write items, faces and embeddings, and commit",
    Stage.BETWEEN: "Work on a chunk that no stage counts",
}
