"""Words counted by a PySpark DataFrame: words_pyspark.py TEXT DEST WORKERS"""

import sys

from pyspark.sql import SparkSession
from pyspark.sql.functions import explode, split

source, dest, workers = sys.argv[1:]
spark = (
    SparkSession.builder.master(f"local[{workers}]")
    .config("spark.driver.memory", "4g")
    .config("spark.sql.shuffle.partitions", 64)
    .config("spark.ui.enabled", False)
    .getOrCreate()
)
words = spark.read.text(source).select(explode(split("value", " ")).alias("word"))
words.groupBy("word").count().write.csv(f"{dest}/result", sep="\t", quote="")
spark.stop()
