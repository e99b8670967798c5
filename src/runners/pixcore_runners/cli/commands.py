"""The subcommands of ``pixcore`` with their summaries, and its exit codes. Imports nothing, for a quick ``--help``."""

DONE, FAILED, USAGE, PARTIAL, NOTHING, INTERRUPTED = 0, 1, 2, 3, 4, 130

# The subcommands by purpose, in the order of the help. Each is `command` in the module of its name, whose help begins
# with the summary.
GROUPS = {
    "Make a dataset": {
        "demo": (
            "Run the whole pipeline on a synthetic web site with planted faults, and compare results with expectations."
        ),
        "sources": "List the sources of images: what each gives, asks for and allows. Sends no request.",
        "inaturalist": (
            "Write a list of the photos of TAXON, a scientific name or a number, with the species of each as its label."
        ),
        "plan": "Print the chunks that `run` would process, with their slices. Changes nothing.",
        "run": "Plan a dataset and process it on this machine. Run it again to resume; nothing is done twice.",
        "status": "Show all datasets, or the chunks of one. `''` means the chunks without a dataset.",
        "retry": "Retry a dataset's failed and short chunks, if that may fill them. Full chunks stay untouched.",
        "cancel": (
            "Stop a dataset: pending chunks fail immediately, running ones at the next heartbeat of their worker."
        ),
    },
    "Keep datasets": {
        "list": "Show every dataset of the status database: chunks, images, state, size, store and last change.",
        "copy": (
            "Copy the images of DATASET for which every --where holds to the new dataset NAME. Fetches nothing "
            "from the web."
        ),
        "rename": "Rename DATASET to NAME, in the store and in the status database.",
        "delete": (
            "Delete DATASET: archives, outcomes, previews, listings, card, decisions, and its part of the status "
            "database."
        ),
    },
    "Inspect, verify and export it": {
        "report": (
            "Write one HTML page that shows DATASET: its images, what was left out and why, and how its chunks fared."
        ),
        "outcomes": (
            "List what became of every candidate of DATASET: accepted, not_tried, or the reason why it is left out."
        ),
        "why": "Say why an image is in DATASET or not: one sentence for each candidate with this URL, path or sha256.",
        "verify": (
            "Read every archive of DATASET back and check that it exists, matches its record, and holds only "
            "sound images."
        ),
        "export": "Write the images of DATASET's completed chunks to a folder, in a layout that other tools load.",
        "push": (
            "Upload DATASET to the dataset repository OWNER/NAME of the Hugging Face Hub, as `load_dataset` reads it."
        ),
    },
    "Decide about single images": {
        "review": "Choose the images of DATASET by eye, in a browser on this machine, until Ctrl-C.",
        "exclude": "Exclude images from DATASET: no later run keeps them, from whichever chunk or address they come.",
        "include": "Include images in DATASET: take their exclusion back, or overrule the rule that rejected them.",
        "relabel": (
            "Give images of DATASET the label LABEL, in every later run. Images are named as for `pixcore exclude`."
        ),
        "decisions": "List the decisions about images of DATASET, ordered by sha256; or import them from a file.",
        "apply": (
            "Apply decisions and changed rules to the stored images of DATASET. Without --fill, nothing is fetched."
        ),
    },
    "Use workers on many machines": {
        "submit": (
            "Plan a dataset and enqueue its chunks for workers. Run it again to enqueue the chunks that are still"
            " pending."
        ),
        "worker": "Run the chunks that a queue delivers, until Ctrl-C or SIGTERM; running chunks are then given back.",
        "reap": "Free the claims of workers that died, and enqueue chunks again that a queue has lost.",
        "metrics": (
            "Serve metrics to Prometheus until a signal stops it: of the status database, the queues, and the "
            "workers here."
        ),
    },
    "Check the configuration": {
        "check": "Connect to everything that is configured and try each permission. Removes what it writes.",
        "config": "Show the configuration.",
    },
}
SUMMARIES = {name: summary for group in GROUPS.values() for name, summary in group.items()}

# What `pixcore` prints without arguments.
START = """\
pixcore turns keywords, URL lists and folders into clean, de-duplicated image datasets. Begin with one of these:

  pixcore demo                                       see it at work on a synthetic web site
  pixcore run "red panda" --count 100                collect a dataset; the same command resumes
  pixcore status                                     see which datasets there are, and how far they are
  pixcore report red-panda --out red-panda.html      see the images, and what was left out and why
  pixcore export red-panda --format imagefolder --out ./exported

`pixcore run --source folder:./photos` collects a folder, `--source urls:list.csv` a list of URLs.
All commands: pixcore --help. The options of one: pixcore run --help.
"""
