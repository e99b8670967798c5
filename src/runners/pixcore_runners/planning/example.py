"""A DATASET.toml that users can begin with. It plans as it is."""

EXAMPLE = """\
# A dataset for `pixcore run pandas.toml`; `pixcore plan pandas.toml` prints what it would do.
dataset = "pandas"
count = 100                         # images of each keyword
license = ["cc0", "by", "by-sa"]    # only under these licences; leave it out for any

[quality]
min_width = 200                     # pixels
min_height = 200
drop = ["blurry"]                   # reject images with these flags

[[keyword]]
name = "red panda"                  # what to search for
label = "Ailurus fulgens"           # by default the name

[[keyword]]
name = "giant panda"
count = 50
source = ["openverse"]              # by default openverse and, with a contact address in user_agent, commons

# A folder of your own, or a list of URLs; neither has a licence to limit by:
# [[keyword]]
# name = "my pandas"
# source = ["folder:./photos", "urls:list.csv"]
# license = []
"""
