"""Two columns of a CSV file summed by key, by PySpark: group_pyspark.py ROWS DEST WORKERS"""

import sys

from pyspark.sql import SparkSession
from pyspark.sql.functions import sum

source, dest, workers = sys.argv[1:]
spark = (
    SparkSession.builder.master(f"local[{workers}]")
    .config("spark.driver.memory", "4g")
    .config("spark.sql.shuffle.partitions", 64)
    .config("spark.ui.enabled", False)
    .getOrCreate()
)
rows = spark.read.csv(source, header=True, schema="key INT, a INT, b DOUBLE")
rows.groupBy("key").agg(sum("a"), sum("b")).write.csv(f"{dest}/result", sep="\t")
spark.stop()
